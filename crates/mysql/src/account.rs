//! [`Account`]: the login with which connections are opened. Pods and pools are not known here.

use std::env;
use std::fmt;

use headless::Tls;

/// The account of the application on every pod.
///
/// Give the application an account that cannot write to a read-only server: no `SUPER`, no
/// `READ ONLY ADMIN` (MariaDB), no `CONNECTION_ADMIN` (MySQL). With such a privilege a replica
/// obeys a write that reaches it, which breaks replication. A [`Splitter`](crate::Splitter)
/// therefore refuses the writes of such an account, unless
/// [`allow_privileged`](crate::SplitterBuilder::allow_privileged) says otherwise.
///
/// ```
/// use headless_mysql::Account;
///
/// let account = Account::new("app", "secret").database("shop");
/// assert!(!format!("{account:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: Option<String>,
    pub(crate) tls: Option<Tls>,
}

impl Account {
    /// Returns an account with a password, without a database and without TLS.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            database: None,
            tls: None,
        }
    }

    /// Reads the account from the environment: `MYSQL_USER`, `MYSQL_PASSWORD`, and `MYSQL_DATABASE`
    /// if it is set. These are the names that the images of MySQL and MariaDB use.
    ///
    /// # Errors
    /// [`AccountError`] with the name of the variable that is missing or not Unicode.
    pub fn from_env() -> Result<Self, AccountError> {
        let account = Self::new(variable("MYSQL_USER")?, variable("MYSQL_PASSWORD")?);
        match variable("MYSQL_DATABASE") {
            Ok(database) => Ok(account.database(database)),
            Err(AccountError {
                problem: env::VarError::NotPresent,
                ..
            }) => Ok(account),
            Err(error) => Err(error),
        }
    }

    /// Sets the database that statements mean when they name none. Default: none.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Encrypts every connection, and checks the server's certificate. Default: no TLS.
    ///
    /// It needs the feature `tls-ring` or `tls-aws-lc`. With both, [`Tls::provider`] chooses one;
    /// without them, connecting the splitter fails and names them. The provider becomes rustls'
    /// process-wide default, unless the application has set one, which is then used.
    ///
    /// The name in the certificates is [`Verify::EndpointName`](crate::Verify::EndpointName) unless
    /// `tls` says otherwise: `mysql-0.mysql-headless.default.svc.cluster.local`. An endpoint whose
    /// name DNS did not tell has to prove its IP address.
    ///
    /// The PEM and files that `tls` names are checked when the splitter connects. Files are read
    /// again for each connection, so a renewed certificate is followed.
    ///
    /// ```
    /// use headless_mysql::{Account, Pem, Tls, Verify};
    ///
    /// // For each pod's own name, or for one name that all pods share.
    /// let tls = Tls::with_ca(Pem::file("/etc/mysql/ca.pem"));
    /// let tls = tls.verify(Verify::Name("mysql.example.com".into()));
    /// let account = Account::new("app", "secret").tls(tls);
    /// # drop(account);
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl fmt::Debug for Account {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// The environment does not describe an account: a variable is missing or is not Unicode.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {name}: {problem}; set MYSQL_USER, MYSQL_PASSWORD and, if you like, MYSQL_DATABASE")]
pub struct AccountError {
    name: &'static str,
    #[source]
    problem: env::VarError,
}

fn variable(name: &'static str) -> Result<String, AccountError> {
    env::var(name).map_err(|problem| AccountError { name, problem })
}
