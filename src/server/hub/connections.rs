//! The slab of connections, their identities, and their count by role.

use slab::Slab;

use crate::net::stream::Socket;
use crate::relay::tape::Tape;
use crate::server::connection::{Connection, Handle, Phase, Role, Serial, Transport};
use crate::server::web::exchange::Exchange;

/// All connections.
///
/// Invariants: `counts` holds how many connections have each role, and `console` is the key of the one with
/// [`Role::Console`]. Roles change in [`insert`](Connections::insert), [`set_role`](Connections::set_role) and
/// [`remove`](Connections::remove) alone. `members` counts the clients that are present or move, by transport.
#[derive(Debug)]
pub(super) struct Connections<S> {
    slab: Slab<Connection<S>>,
    counts: [usize; Role::COUNT],
    members: [usize; Transport::COUNT],
    console: Option<usize>,
    /// All keys so far are below it.
    keys_end: usize,
    next_serial: Serial,
}

impl<S: Socket> Connections<S> {
    pub(super) fn new() -> Connections<S> {
        Connections {
            slab: Slab::new(),
            counts: [0; Role::COUNT],
            members: [0; Transport::COUNT],
            console: None,
            keys_end: 0,
            next_serial: Serial::default(),
        }
    }

    /// Adds a connection that speaks in lines. Returns its key.
    pub(super) fn insert(&mut self, stream: S, role: Role) -> usize {
        let serial = self.issue_serial();
        self.add(Connection::entering(stream, serial, role))
    }

    /// Adds a connection that speaks HTTP. Returns its key.
    pub(super) fn insert_http(&mut self, stream: S, role: Role, exchange: Exchange) -> usize {
        let serial = self.issue_serial();
        self.add(Connection::visitor(stream, serial, role, exchange))
    }

    /// Gives a connection another role.
    pub(super) fn set_role(&mut self, key: usize, role: Role) {
        let connection = &mut self.slab[key];
        self.counts[connection.role as usize] -= 1;
        connection.role = role;
        self.counts[role as usize] += 1;
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, key: usize) {
        let connection = self.slab.remove(key);
        self.counts[connection.role as usize] -= 1;
        if self.console == Some(key) {
            self.console = None;
        }
    }

    /// Counts a client that becomes a member.
    pub(super) fn count_member(&mut self, key: usize) {
        let transport = self.slab[key].transport();
        self.members[transport as usize] += 1;
    }

    /// Counts a client that is a member no longer, or goes on as one over another connection.
    pub(super) fn discount_member(&mut self, key: usize) {
        let connection = &self.slab[key];
        if connection.role == Role::Client {
            self.members[connection.transport() as usize] -= 1;
        }
    }

    /// Returns the number of clients that are members and have a connection, by transport.
    pub(super) fn members(&self) -> [usize; Transport::COUNT] {
        self.members
    }

    /// Returns the number of connections with this role.
    pub(super) fn count(&self, role: Role) -> usize {
        self.counts[role as usize]
    }

    /// Returns the number of connections.
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns the key that the next connection gets.
    pub(super) fn next_key(&self) -> usize {
        self.slab.vacant_key()
    }

    /// Returns the key of the operator's console, while there is one.
    pub(super) fn console(&self) -> Option<usize> {
        self.console
    }

    /// Returns the connection with this key. Keys die at the end of a turn only, so a key that was looked up in this
    /// turn is safe.
    pub(super) fn get(&self, key: usize) -> Option<&Connection<S>> {
        self.slab.get(key)
    }

    /// Returns the connection with this key.
    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Connection<S>> {
        self.slab.get_mut(key)
    }

    /// Returns the connection with this handle; `None` if it is gone, even if another connection has its key by now.
    pub(super) fn known(&self, handle: Handle) -> Option<&Connection<S>> {
        self.slab.get(handle.key).filter(|connection| connection.handle(handle.key) == handle)
    }

    /// Returns the connection with this handle, unless it is gone.
    pub(super) fn known_mut(&mut self, handle: Handle) -> Option<&mut Connection<S>> {
        self.slab.get_mut(handle.key).filter(|connection| connection.handle(handle.key) == handle)
    }

    /// Returns all connections with their keys, by ascending key.
    pub(super) fn iter(&self) -> slab::Iter<'_, Connection<S>> {
        self.slab.iter()
    }

    /// Returns all connections with their keys, by ascending key.
    pub(super) fn iter_mut(&mut self) -> slab::IterMut<'_, Connection<S>> {
        self.slab.iter_mut()
    }

    /// Returns the end of the keys: every connection has a lower one. The slab reuses the keys of the removed first, so
    /// it is the largest number of connections so far.
    pub(super) fn keys_end(&self) -> usize {
        self.keys_end
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants<'a>(&'a self, tape_of: impl Fn(&'a Connection<S>) -> &'a Tape) {
        let (mut counts, mut members) = ([0; Role::COUNT], [0; Transport::COUNT]);
        for (key, connection) in &self.slab {
            counts[connection.role as usize] += 1;
            connection.check_invariants(tape_of(connection));
            assert_eq!(connection.role == Role::Console, self.console == Some(key), "there is one console");
            let is_in_room = matches!(connection.phase, Phase::Present(_));
            if connection.role == Role::Client && (is_in_room || matches!(connection.phase, Phase::Moving(_))) {
                members[connection.transport() as usize] += 1;
            }
            let is_member = matches!(connection.role, Role::Client | Role::Console);
            assert!(is_member || !is_in_room, "a connection in the room is a client or the console");
            assert!(connection.phase != Phase::Entering || !is_member, "a client is not entering");
        }
        assert_eq!(counts, self.counts, "roles are counted");
        assert_eq!(members, self.members, "members are counted");
    }

    fn add(&mut self, connection: Connection<S>) -> usize {
        let role = connection.role;
        let key = self.slab.insert(connection);
        self.keys_end = self.keys_end.max(key + 1);
        self.counts[role as usize] += 1;
        if role == Role::Console {
            self.console = Some(key);
        }
        key
    }

    fn issue_serial(&mut self) -> Serial {
        let serial = self.next_serial;
        self.next_serial = serial.next();
        serial
    }
}

impl<S> std::ops::Index<usize> for Connections<S> {
    type Output = Connection<S>;

    fn index(&self, key: usize) -> &Connection<S> {
        &self.slab[key]
    }
}

impl<S> std::ops::IndexMut<usize> for Connections<S> {
    fn index_mut(&mut self, key: usize) -> &mut Connection<S> {
        &mut self.slab[key]
    }
}
