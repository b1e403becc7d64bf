//! Bans at work: the orders that give and lift them, the check of each new address, and the search for connections
//! whose address a new ban covers.
//!
//! The kernel is asked for the address of every connection in that search, so it takes several turns among many: each
//! looks at some connections, and removes some. A connection that comes meanwhile is checked at its way in. Without a
//! ban no address is asked for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::Hub;

use crate::net::stream::Socket;
use crate::relay::order::Row;
use crate::server::bans::file::Changes;
use crate::server::bans::{Ban, Bans, Full, clean_reason, network_of, parse_network, shown};
use crate::server::connection::{Farewell, Phase, Role};
use crate::server::fields::Fields;
use crate::server::limits::{BAN_TIME_MAX, BANNED_A_TURN, BANS_CHECKED_A_TURN, BANS_ENDED_A_TURN, ROWS_MAX};
use crate::server::reason::Reason;
use crate::server::report::Kind;
use crate::server::web::response::Status;
use crate::server::web::site::Answer;

/// Bans that one order lifts by a name.
const LIFTED_MAX: usize = 1_000;

/// Networks that the answer to an order names.
const NAMED_MAX: usize = 8;

/// The bans, and the search for those that they meet.
///
/// Invariant: `unchecked` counts the keys from `next_key` on, around the end of the keys, that may have a connection
/// whose address was not compared with the newest ban.
#[derive(Debug)]
pub(super) struct Banning {
    bans: Bans,
    /// The time of day of this turn, in ms since 1970.
    now_ms: u64,
    next_key: usize,
    unchecked: usize,
    /// The file, if there is one.
    changes: Option<Changes>,
}

/// The place in a list of the bans: the last network that was told.
#[derive(Debug, Default)]
pub(super) struct BanListing {
    last: Option<IpNet>,
}

impl Banning {
    pub(super) fn new(bans_max: usize) -> Banning {
        Banning { bans: Bans::new(bans_max), now_ms: 0, next_key: 0, unchecked: 0, changes: None }
    }

    pub(super) fn set_clock(&mut self, unix_ms: u64) {
        self.now_ms = unix_ms;
    }

    /// Whether addresses matter here.
    pub(super) fn has_bans(&self) -> bool {
        !self.bans.is_empty()
    }

    /// Whether connections wait to be compared with a new ban.
    pub(super) fn is_checking(&self) -> bool {
        self.unchecked > 0
    }

    /// Checks an address, if there is one.
    ///
    /// # Errors
    /// [`Reason::Banned`].
    pub(super) fn check(&self, address: Option<IpAddr>) -> Result<(), Reason> {
        self.ban_of(address).map_or(Ok(()), |ban| Err(Reason::Banned(ban)))
    }

    fn ban_of(&self, address: Option<IpAddr>) -> Option<Arc<Ban>> {
        // The common case.
        if self.bans.is_empty() {
            return None;
        }
        self.bans.covers(address?, self.now_ms).cloned()
    }

    /// Returns the end of a ban that holds from now on for so long, in whole seconds.
    fn end_after(&self, time: Duration) -> Result<u64, String> {
        if time.is_zero() || time > BAN_TIME_MAX {
            return Err("a ban ends within ten years, or has no end".to_owned());
        }
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(self.now_ms.saturating_add(ms).div_ceil(1_000).saturating_mul(1_000))
    }

    fn add(&mut self, ban: &Arc<Ban>) -> Result<(), String> {
        let added = self.bans.add(Arc::clone(ban));
        added.map_err(|Full(most)| format!("there are {most} bans already: lift some, or ban larger networks"))?;
        if let Some(changes) = &self.changes {
            changes.note(ban.network, Some(Arc::clone(ban)));
        }
        Ok(())
    }

    fn lift(&mut self, network: &IpNet) -> Option<Arc<Ban>> {
        let ban = self.bans.remove(network)?;
        if let Some(changes) = &self.changes {
            changes.note(*network, None);
        }
        Some(ban).filter(|ban| ban.holds_at(self.now_ms))
    }

    /// Returns a wider network that covers this one and is banned.
    fn around(&self, network: IpNet) -> Option<&Arc<Ban>> {
        self.bans.around(network, self.now_ms).next()
    }
}

impl<S: Socket> Hub<S> {
    /// Returns the number of bans.
    pub fn bans_len(&self) -> usize {
        self.banning.bans.len()
    }

    /// Sets all bans, in place of those before. Connections that they cover are removed in the next turns.
    pub fn set_bans(&mut self, bans: impl Iterator<Item = Arc<Ban>>) {
        let mut list = Bans::new(self.banning.bans.most());
        for ban in bans {
            let added = list.add(ban);
            debug_assert!(added.is_ok(), "a file has no more bans than there may be");
        }
        self.banning.bans = list;
        self.check_connections();
    }

    /// Hands further changes of the bans over to a file.
    pub fn keep_bans(&mut self, changes: Changes) {
        self.banning.changes = Some(changes);
    }

    /// Bans the address of the member of this name, or an address or network, and removes its members. Returns the
    /// answer for the operator.
    ///
    /// # Errors
    /// Why not, in words for the operator. Then nothing has changed.
    pub fn ban(&mut self, target: &str, time: Option<Duration>, reason: &str, now: Instant) -> Result<String, String> {
        let (network, name) = self.ban_target(target)?;
        let until = time.map(|time| self.banning.end_after(time)).transpose()?;
        let since = Some(self.banning.now_ms / 1_000 * 1_000);
        let ban = Arc::new(Ban { network, since, until, name, reason: clean_reason(reason)? });
        self.banning.add(&ban)?;
        self.report_ban(Kind::Banned, &ban, now);
        self.check_connections();
        let removed = match (self.remove_banned(now), self.banning.is_checking()) {
            (_, true) => "its members are being removed".to_owned(),
            (1, false) => "1 member was removed".to_owned(),
            (removed, false) => format!("{removed} members were removed"),
        };
        Ok(format!("banned {}: {removed}", ban.head()))
    }

    /// Lifts the ban of exactly an address or network, or all bans that were given for a name. Returns the answer for
    /// the operator, which tells a wider ban that still covers the address.
    ///
    /// # Errors
    /// Why not, in words for the operator. Then nothing has changed.
    pub fn unban(&mut self, target: &str, now: Instant) -> Result<String, String> {
        if !is_network(target) {
            return self.unban_name(target, now);
        }
        let network = parse_network(target)?;
        let lifted = self.banning.lift(&network);
        lifted.iter().for_each(|ban| self.report_ban(Kind::Unbanned, ban, now));
        let around = self.banning.around(network).map(|ban| ban.head().to_string());
        match (lifted, around) {
            (Some(ban), None) => Ok(format!("{} is no longer banned", ban.place())),
            (Some(ban), Some(around)) => {
                Ok(format!("{} is no longer banned by itself, but {around} still covers it", ban.place()))
            }
            (None, None) => Err(format!("{} is not banned", shown(&network))),
            (None, Some(around)) => Err(format!("{} is not banned by itself, but {around} covers it", shown(&network))),
        }
    }

    fn unban_name(&mut self, name: &str, now: Instant) -> Result<String, String> {
        let networks = self.banning.bans.of_name(name);
        let lifted: Vec<_> =
            networks.iter().take(LIFTED_MAX).filter_map(|network| self.banning.lift(network)).collect();
        lifted.iter().for_each(|ban| self.report_ban(Kind::Unbanned, ban, now));
        let mut shown: Vec<String> = lifted.iter().take(NAMED_MAX).map(|ban| ban.place().to_string()).collect();
        match (lifted.len(), networks.len().saturating_sub(LIFTED_MAX)) {
            (0, _) => return Err(format!("no ban was given for {name}; bans lists them")),
            (_, left @ 1..) => return Ok(format!("lifted {LIFTED_MAX} bans of {name}; {left} are left: say it again")),
            (all, 0) if all > NAMED_MAX => shown.push(format!("{} more", all - NAMED_MAX)),
            _ => {}
        }
        let verb = if lifted.len() == 1 { "is" } else { "are" };
        Ok(format!("{} {verb} no longer banned", shown.join(", ")))
    }

    /// Reports that an operator has given or lifted a ban.
    fn report_ban(&mut self, kind: Kind, ban: &Ban, now: Instant) {
        let address = shown(&ban.network).to_string();
        let fields = Fields { name: ban.name.as_deref(), address: Some(&address), ..Fields::default() };
        let done = if kind == Kind::Banned { "banned" } else { "unbanned" };
        self.reports.note_with(kind, fields, None, format_args!("the operator has {done} {}", ban.logged()), now);
    }

    /// Returns the networks banned for a name that the next order lifts: the first [`LIFTED_MAX`].
    pub(super) fn next_lifted_of(&self, name: &str) -> Vec<IpNet> {
        let mut networks = self.banning.bans.of_name(name);
        networks.truncate(LIFTED_MAX);
        networks
    }

    /// Returns the next bans behind that of the network `last`, at most so many, in the order of their addresses.
    pub fn bans_after(&self, last: Option<IpNet>, rows_max: usize) -> Vec<Arc<Ban>> {
        let Banning { bans, now_ms, .. } = &self.banning;
        bans.after(last).filter(|ban| ban.holds_at(*now_ms)).take(rows_max).cloned().collect()
    }

    /// Returns the next rows of a list of the bans; none at its end.
    pub(super) fn list_bans(&self, listing: &mut BanListing) -> Vec<Row> {
        let bans = self.bans_after(listing.last, ROWS_MAX);
        listing.last = bans.last().map_or(listing.last, |ban| Some(ban.network));
        bans.iter().map(|ban| row(ban)).collect()
    }

    /// Returns the network that is to be banned, and the name of its member.
    pub(super) fn ban_target(&self, target: &str) -> Result<(IpNet, Option<Box<str>>), String> {
        if is_network(target) {
            return Ok((parse_network(target)?, None));
        }
        let Some(member) = self.roster.find(target) else { return Err(format!("nobody here is called {target}")) };
        let name = self.roster.shown(member).to_string();
        if self.roster.is_operator(member) {
            return Err(format!("{name} is the operator"));
        }
        let Some(key) = self.roster.key(member) else {
            return Err(format!("{name} is away, and its address is not known any more: kick {name} ends its session"));
        };
        let own = || self.connections[key].stream().peer_address();
        let address = match self.proxied.client(key).map_or_else(own, |client| Ok(Some(client))) {
            Ok(Some(address)) => address.ip().to_canonical(),
            Ok(None) => {
                return Err(format!("{name} came over a Unix socket, and has no address: kick {name} removes it"));
            }
            Err(_) => return Err(format!("the address of {name} is not known any more")),
        };
        let whose = match address {
            _ if self.proxied.trusts(Some(address)) => "the address of a proxy",
            _ if address.is_loopback() => "this machine itself",
            _ => return Ok((network_of(address), Some(name.into()))),
        };
        Err(format!(
            "{name} comes from {address}, {whose}: ban {address} would ban all that come from there, kick {name} \
             removes {name} alone"
        ))
    }

    /// Has each connection compared with the bans, from this turn on.
    fn check_connections(&mut self) {
        self.banning.unchecked = self.connections.keys_end();
    }

    /// Removes bans that have ended: the memory behind them. They do not hold any more as it is.
    pub(super) fn end_bans(&mut self) {
        let Banning { bans, now_ms, .. } = &mut self.banning;
        bans.remove_ended(*now_ms, BANS_ENDED_A_TURN);
    }

    /// Compares the next connections with the bans, and removes those that one covers. Returns the number of members
    /// among them.
    pub(super) fn remove_banned(&mut self, now: Instant) -> usize {
        let (mut members, mut removed) = (0, 0);
        let end = self.connections.keys_end();
        let unchecked = self.banning.unchecked.min(end);
        for checked in 0..unchecked.min(BANS_CHECKED_A_TURN) {
            if removed == BANNED_A_TURN {
                self.banning.unchecked = unchecked - checked;
                return members;
            }
            let key = self.banning.next_key % end;
            self.banning.next_key = key + 1;
            if let Some(ban) = self.ban_on(key) {
                removed += 1;
                members += usize::from(self.remove_for_ban(key, ban, now));
            }
        }
        self.banning.unchecked = unchecked.saturating_sub(BANS_CHECKED_A_TURN);
        members
    }

    /// Returns the ban that covers the address of an open connection, or that of the proxy behind it.
    fn ban_on(&self, key: usize) -> Option<Arc<Ban>> {
        let connection = self.connections.get(key).filter(|_| self.banning.has_bans())?;
        let is_open = !matches!(connection.phase, Phase::Closing | Phase::Gone);
        if !is_open || !matches!(connection.role(), Role::Client | Role::Entering | Role::Visitor) {
            return None;
        }
        let own = || connection.stream().peer_address().ok().flatten().map(|address| address.ip());
        let client = self.proxied.client(key).map(|client| client.ip());
        self.banning.ban_of(client).or_else(|| self.banning.ban_of(own()))
    }

    /// Removes an open connection, and tells it the ban if it can be told. Returns whether it was a member.
    fn remove_for_ban(&mut self, key: usize, ban: Arc<Ban>, now: Instant) -> bool {
        let connection = &self.connections[key];
        let reason = Reason::Banned(ban);
        if connection.was_in_room() {
            self.leave(key, &reason, now);
            return true;
        }
        if connection.is_handshaking() || self.proxied.awaits_header(key) {
            self.record_refusal(&self.peer(key), &reason, " without a word", now);
            self.schedule.close(key, &mut self.connections[key]);
        } else if connection.is_http() {
            // The answer to its last request may be under way, and it awaits no other one.
            self.record_refusal(&self.peer(key), &reason, " without a word", now);
            self.close_entering(key, Farewell::Close(None), now);
        } else if connection.is_browser() {
            self.refuse_browser(key, &reason, now);
        } else {
            self.refuse(key, &reason, now);
        }
        false
    }

    /// Returns the answer to a visitor that is banned, whatever its request.
    pub(super) fn answer_banned(&self, ban: &Ban) -> Answer {
        let text = ban.notice().to_string();
        self.site.as_ref().map_or_else(Answer::empty, |site| site.refuse_for(Status::Banned, &text))
    }
}

/// Returns a ban as a row of a list.
fn row(ban: &Ban) -> Row {
    Row::Ban {
        network: shown(&ban.network).to_string(),
        name: ban.name.as_deref().map(str::to_owned),
        since: ban.since,
        until: ban.until,
        reason: ban.reason.to_string(),
        shown: ban.to_string(),
    }
}

/// Whether a target of an order is an address or a network: no name has these characters.
pub(super) fn is_network(target: &str) -> bool {
    target.contains(['.', ':', '/'])
}
