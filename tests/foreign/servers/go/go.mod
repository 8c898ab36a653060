module headless/foreign

go 1.24
