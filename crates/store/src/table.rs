//! The tables of a store. Numbers are part of the stored format: they are never reused or
//! renumbered, and spares let a later version add a table without a new format.

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// A table: a separate, ordered space of keys. The discriminant is stored.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[$doc])* $name = $number,)*
        }

        impl Table {
            /// Every table, by rising number.
            pub const ALL: &[Table] = &[$(Table::$name,)*];

            /// The table with this number, if there is one.
            pub const fn from_u8(number: u8) -> Option<Table> {
                match number {
                    $($number => Some(Table::$name),)*
                    _ => None,
                }
            }
        }
    };
}

tables! {
    /// Facts about the data directory as a whole.
    Meta = 1,
    /// Accounts and regions, and their internal numbers.
    Scope = 2,
    /// State machines.
    Machine = 3,
    /// Revisions of state machines.
    Revision = 4,
    /// Activities.
    Activity = 5,
    /// Tags of resources.
    Tag = 6,
    /// Executions: what does not change after the start, and the outcome.
    Execution = 7,
    /// What `step` needs of an open execution besides its frames.
    Head = 8,
    /// Frames of executions.
    Frame = 9,
    /// Turns: inputs taken and history events appended.
    Turn = 10,
    /// Payloads too large to lie in the turn that names them.
    Payload = 11,
    /// Names taken by executions.
    Name = 12,
    /// Lists of executions, newest first.
    List = 13,
    /// Timers by due time.
    Timer = 14,
    /// Tasks that are open.
    Task = 15,
    /// Executions taken out of service.
    Quarantine = 16,
    /// Map runs: what they are to do.
    MapRun = 17,
    /// Published versions of state machines.
    Version = 18,
    /// Aliases of state machines.
    Alias = 19,
    /// Messages between executions that wait for delivery.
    Outbox = 20,
    /// Executions by the time at which retention removes them.
    Expiry = 21,
    /// How far map runs are.
    MapRunState = 22,
    /// Children of map runs.
    MapChild = 23,
    /// Express executions that were started asynchronously and have not ended.
    Express = 24,
    /// Map runs of executions.
    MapRunOf = 25,
    /// Kept for a later version.
    Spare26 = 26,
    /// Kept for a later version.
    Spare27 = 27,
    /// Kept for a later version.
    Spare28 = 28,
    /// Kept for a later version.
    Spare29 = 29,
    /// Turns that a sink outside is yet to be told of, by channel and order.
    Notice = 30,
    /// Kept for a later version.
    Spare31 = 31,
}

/// One more than the highest table number: the size of an array indexed by table.
pub(crate) const TABLES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_fit() {
        for &table in Table::ALL {
            assert_eq!(Table::from_u8(table as u8), Some(table));
            assert!((table as usize) < TABLES);
        }
        assert_eq!(Table::from_u8(0), None);
        assert_eq!(Table::from_u8(32), None);
    }
}
