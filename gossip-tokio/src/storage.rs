//! Where records go.

use std::io;

use gossip_core::{Record, Table};

/// A store for the records of one node. Called away from the loop, on threads where blocking is allowed, one call at a
/// time.
pub trait Storage: Send + 'static {
    /// Everything that is stored, in any order.
    ///
    /// # Errors
    ///
    /// [`Builder::spawn`](crate::Builder::spawn) ends with them.
    fn load(&mut self) -> io::Result<Vec<Stored>>;

    /// Makes `records` durable before it returns: stores those with a value, replacing what had the same table and key,
    /// and removes the others. All or none of them, or at least none after one that is missing.
    ///
    /// # Errors
    ///
    /// The same records are tried again after a pause, for ever. What waits for them waits; gossip goes on.
    fn write(&mut self, records: &[Record]) -> io::Result<()>;
}

/// A record that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

#[cfg(feature = "storage")]
pub use self::redb_file::Redb;

#[cfg(feature = "storage")]
mod redb_file {
    use std::io;
    use std::path::Path;

    use gossip_core::{Record, Table};
    use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

    use super::{Storage, Stored};

    /// Records in a [`redb`] file: one table of the file per [`Table`], one transaction per batch.
    #[derive(Debug)]
    pub struct Redb {
        database: Database,
    }

    impl Redb {
        /// Opens the file, or creates it.
        ///
        /// # Errors
        ///
        /// Where the file cannot be opened or is no such database, and where another process has it open.
        pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
            Ok(Self { database: Database::create(path).map_err(io::Error::other)? })
        }

        fn commit(&self, records: &[Record]) -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            for record in records {
                let name = record.table.to_string();
                let mut table = transaction.open_table(definition(&name))?;
                match record.value() {
                    Some(value) => table.insert(record.key(), value.to_vec().as_slice())?,
                    None => table.remove(record.key())?,
                };
            }
            Ok(transaction.commit()?)
        }

        fn read(&self) -> Result<Vec<Stored>, redb::Error> {
            let transaction = self.database.begin_read()?;
            let mut stored = Vec::new();
            for &table in Table::ALL {
                let name = table.to_string();
                let rows = match transaction.open_table(definition(&name)) {
                    Ok(rows) => rows,
                    Err(redb::TableError::TableDoesNotExist(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                for row in rows.iter()? {
                    let (key, value) = row?;
                    stored.push(Stored { table, key: key.value().to_vec(), value: value.value().to_vec() });
                }
            }
            Ok(stored)
        }
    }

    impl Storage for Redb {
        fn load(&mut self) -> io::Result<Vec<Stored>> {
            self.read().map_err(io::Error::other)
        }

        fn write(&mut self, records: &[Record]) -> io::Result<()> {
            self.commit(records).map_err(io::Error::other)
        }
    }

    fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
        TableDefinition::new(name)
    }
}
