-- From here on a migration has one number for both databases; SQLite had one more.
SELECT 1;
