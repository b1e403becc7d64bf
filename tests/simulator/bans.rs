//! The bans of a run, and the oracle's judgement of them: a banned address never enters until the ban's end, and its
//! members are gone at the end of the turn. They come by a chance of their own.

use std::time::Duration;

use ipnet::IpNet;

use crate::chance::Chance;
use crate::oracle::{Oracle, WITNESS};
use crate::roster_log::Change;
use crate::rule::{Rule, Verdict};
use crate::setting::home;

/// The reason of each ban.
pub(crate) const REASON: &str = "no: more";

/// The bans of a run.
#[derive(Debug)]
pub(crate) struct BanPlan {
    chance: Chance,
    /// The odds of an order: one turn in so many.
    one_in: usize,
}

/// An order of the operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BanOrder {
    Ban { network: IpNet, time: Option<Duration> },
    Unban { network: IpNet },
}

/// Bans that the oracle knows of: the network, and the end in ms since 1970.
pub(crate) type KnownBans = Vec<(IpNet, Option<u64>)>;

/// Bans, for half of the seeds.
pub(crate) fn some_bans(seed: u64) -> Option<BanPlan> {
    let mut chance = Chance::new(seed.rotate_left(12) ^ 0x6261_6e73);
    chance.one_in(2).then(|| BanPlan { one_in: chance.pick(&[30, 200, 200]), chance: chance.fork() })
}

impl BanPlan {
    /// Returns an order, if it is time for one.
    pub(crate) fn order(&mut self) -> Option<BanOrder> {
        if !self.chance.one_in(self.one_in) {
            return None;
        }
        // The second one holds the third.
        let network = match self.chance.below(4) {
            0 => "192.0.2.2/31".parse().expect("a network"),
            _ => IpNet::from(home(self.chance.below(3))),
        };
        if self.chance.one_in(3) {
            return Some(BanOrder::Unban { network });
        }
        let time = self.chance.pick(&[None, Some(1), Some(50), Some(1_000), Some(1_000), Some(60_000)]);
        Some(BanOrder::Ban { network, time: time.map(Duration::from_millis) })
    }
}

impl Oracle {
    /// Learns of an order that the hub has obeyed.
    pub(crate) fn obey(&mut self, order: BanOrder) {
        let (BanOrder::Ban { network, .. } | BanOrder::Unban { network }) = order;
        self.bans.retain(|&(other, _)| other != network);
        if let BanOrder::Ban { time, .. } = order {
            let ms = |time: Duration| u64::try_from(time.as_millis()).expect("a short time");
            let end = |time| (self.clock_ms + ms(time)).div_ceil(1_000) * 1_000;
            self.bans.push((network, time.map(end)));
        }
        for at in 0..self.active.len() {
            let member = self.active[at];
            let is_going = self.events.iter().any(|placed| {
                self.by_line.get(&placed.event.line) == Some(&member) && placed.event.change == Change::Leaves
            });
            let notice = self.ban_notice(member).filter(|_| member != WITNESS && !is_going);
            let known = &mut self.members[member];
            // It is removed for the first one.
            if known.is_banned.is_none() && !known.has_left && !known.is_turned_away {
                known.is_banned = notice;
            }
        }
    }

    /// Forgets the bans that have ended: none comes again if the clock goes back.
    pub(crate) fn end_bans(&mut self) {
        let clock_ms = self.clock_ms;
        self.bans.retain(|(_, end)| end.is_none_or(|end| clock_ms < end));
    }

    /// The notice of the ban on the address of a connection, if there is one: that of the last to end.
    pub(crate) fn ban_notice(&self, member: usize) -> Option<String> {
        self.ban_notice_at(self.wires[member].borrow().address)
    }

    /// The same, for an address.
    pub(crate) fn ban_notice_at(&self, address: std::net::IpAddr) -> Option<String> {
        let holds = |&&(network, end): &&(IpNet, Option<u64>)| {
            network.contains(&address) && end.is_none_or(|end| self.clock_ms < end)
        };
        let (_, end) = self.bans.iter().filter(holds).max_by_key(|(_, end)| end.unwrap_or(u64::MAX))?;
        let until = end.map_or_else(String::new, |end| {
            let minute = i64::try_from(end.div_ceil(60_000) * 60).expect("a time with a date");
            let time = jiff::Timestamp::from_second(minute).expect("a time with a date");
            format!(" until {}", time.strftime("%Y-%m-%d %H:%M UTC"))
        });
        Some(format!("* you are banned{until}: {REASON}"))
    }

    /// Takes the notice of a member that is removed for a ban.
    pub(crate) fn receive_banned(&mut self, member: usize, line: &str) -> Verdict {
        let known = &mut self.members[member];
        let is_due = known.is_banned.as_deref() == Some(line);
        known.is_kicked = true;
        Rule::Banned.demands(is_due, || format!("its address is not banned so, but {:?}", known.is_banned))
    }

    /// Judges, at the end of a turn, that no member has an address that was banned in it, or before.
    pub(crate) fn judge_bans(&self) -> Verdict {
        let is_left = |&&member: &&usize| {
            let known = &self.members[member];
            member != WITNESS && known.is_present() && self.ban_notice(member).is_some()
        };
        match self.active.iter().find(is_left) {
            Some(&member) if !self.is_shutting_down => {
                Rule::Banned.broken(self.about(member, "it is banned, and here"))
            }
            _ => Ok(()),
        }
    }
}
