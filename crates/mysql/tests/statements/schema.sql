-- What the reads in this folder read: enough for a server to prepare and run them. MySQL 8, MariaDB 10.6, and later.

ALTER DATABASE DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE users (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NOT NULL,
  email VARCHAR(200) NOT NULL,
  age INT NULL,
  active BOOLEAN NOT NULL DEFAULT TRUE,
  settings JSON NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  UNIQUE KEY users_email (email),
  KEY users_created (created_at)
);

CREATE TABLE orders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id BIGINT UNSIGNED NOT NULL,
  total DECIMAL(10, 2) NOT NULL,
  status VARCHAR(20) NOT NULL,
  placed_on DATE NOT NULL,
  KEY orders_user (user_id)
);

CREATE TABLE jobs (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  state VARCHAR(20) NOT NULL,
  payload TEXT NULL
);

CREATE TABLE articles (
  id INT NOT NULL PRIMARY KEY,
  title VARCHAR(200) NOT NULL,
  body TEXT NOT NULL,
  FULLTEXT KEY articles_text (title, body)
);

CREATE TABLE places (
  id INT NOT NULL PRIMARY KEY,
  spot POINT NOT NULL
);

CREATE TABLE nodes (
  id INT NOT NULL PRIMARY KEY,
  parent INT NULL,
  `order` INT NOT NULL DEFAULT 0,
  `update` INT NOT NULL DEFAULT 0
);

CREATE TABLE parts (
  id INT NOT NULL PRIMARY KEY
) PARTITION BY HASH (id) PARTITIONS 4;

CREATE VIEW adults AS SELECT id, name FROM users WHERE age >= 18;

-- On MariaDB with its history; on MySQL without, where no statement asks for it.
CREATE TABLE history (
  id INT NOT NULL PRIMARY KEY
) /*M! WITH SYSTEM VERSIONING */;
