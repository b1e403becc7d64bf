//! The ends of connections, as their sockets show them, and the state of a hub that would sleep.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::server::config::Lag;
use pollchat::server::hub::Wake;
use pollchat::server::limits::GRACE;

use crate::last_words::PAUSE;
use crate::log::Kind;
use crate::net::{Reset, Wire};
use crate::oracle::Oracle;
use crate::peers::TALK_BYTES_MAX;
use crate::rule::{Rule, Verdict};
use crate::said::Asked;

/// The longest time for which the brake may hold input back.
const BRAKE_MAX: Duration = Duration::from_millis(10);

impl Oracle {
    /// Judges the socket of a connection: its misuse, its end, and what the server keeps for it.
    pub(crate) fn judge_wire(&mut self, member: usize, now: Instant) -> Verdict {
        let wire = Rc::clone(&self.wires[member]);
        let wire = wire.borrow();
        if let Some(misuse) = wire.misuse {
            return Rule::Farewell.broken(misuse);
        }
        if let Some(breach) = wire.sealing.as_ref().and_then(|sealing| sealing.breach.as_ref()) {
            return Rule::Records.broken(breach);
        }
        if wire.is_handshaking() {
            return self.judge_handshake(member, now);
        }
        if self.is_visitor(member) {
            if wire.is_finished && wire.reset == Reset::No {
                self.judge_end_of_visit(member, &wire)?;
            }
            if wire.is_closed {
                self.members[member].is_closed = true;
                self.judge_closed_visitor(member, &wire, now)?;
            }
            return Ok(());
        }
        if wire.is_finished && self.members[member].visit.is_some() {
            self.judge_end_of_socket(member)?;
        }
        if wire.is_finished && self.members[member].is_handed_over {
            self.end_handed_over(member)?;
        }
        if wire.is_finished && !self.members[member].has_fin {
            return Rule::Farewell.broken("writing was ended without FIN");
        }
        self.judge_hoard(member, &wire)?;
        if !wire.is_closed {
            return Ok(());
        }
        self.members[member].is_closed = true;
        let known = &self.members[member];
        let may_be_kicked = self.may_be_disconnected(member);
        // It may be turned away for a part of a line, and closed before it takes the reason.
        let is_out = known.number.is_none() && (!known.is_entering() || wire.ear.has_begun_binary());
        // What it was told before it entered, it could not be written: a question, or the answer to a browser.
        let is_told_early = wire.ear.lock.is_some() || known.visit.is_some();
        let is_cut_off = is_told_early && known.number.is_none() && wire.reset == Reset::Told;
        let is_out = is_out || is_cut_off || self.may_be_sent_away(member);
        if !(is_out || wire.ear.is_leaving() || may_be_kicked || self.is_shutting_down) {
            return Rule::Reason.broken("it was closed without a reason");
        }
        if !may_be_kicked && !self.is_shutting_down && known.number.is_some() {
            self.all_heard(member)?;
        }
        let is_over = wire.reset != Reset::No || (wire.is_finished && wire.ear.ended.is_some());
        // A client that leaves is waited for like any other.
        let is_leaving = wire.ear.is_leaving() || self.is_shutting_down || known.idleness.may_be_gone.is_some();
        let is_over = is_over || is_leaving && known.stall().may_be_gone();
        // How far a removed client had come is not followed.
        let is_over = is_over || known.removal.is_some() && self.config.lag == Lag::Wait;
        let is_over = is_over || known.visit.as_ref().is_some_and(|visit| visit.socket.may_be_gone);
        // In the pause before its last word, a refused connection was told its reason.
        let is_told = wire.is_finished || self.config.flush_after.is_some();
        let is_evicted = known.is_silenced || known.is_in_the_way || (known.is_refused() && is_told);
        // It is known when a client left if it did so by its own wish.
        let by_own_wish = !may_be_kicked && !self.is_shutting_down && !is_out;
        let left_at = wire.leaving_since.filter(|_| by_own_wish).unwrap_or(wire.last_written);
        let idle_since = wire.last_written.max(left_at);
        if is_over || is_evicted || now.saturating_duration_since(idle_since) >= GRACE {
            Ok(())
        } else {
            let idle = now.saturating_duration_since(idle_since);
            Rule::Grace.broken(format!(
                "it was closed {idle:?} after it took something, with {} bytes unread",
                wire.unread_bytes()
            ))
        }
    }

    /// Judges what the hub keeps for a client that provokes answers and takes none: it is not read, so that is bounded.
    fn judge_hoard(&self, member: usize, wire: &Wire) -> Verdict {
        let unanswered = &wire.ear.asked[self.members[member].answered.min(wire.ear.asked.len())..];
        let may_be_kicked = self.may_be_disconnected(member) || self.is_shutting_down;
        let is_present = self.members[member].is_seated();
        let is_heard = is_present && wire.reset == Reset::No;
        if unanswered.len() < 200 || !is_heard || may_be_kicked {
            return Ok(());
        }
        let help_bytes: usize = self.help_lines().map(|line| line.len() + 1).sum();
        let hoarded = unanswered.iter().filter(|asked| **asked == Asked::Help).count() * help_bytes;
        // A message is heard at once, when its last piece has come.
        let message_bytes = if wire.ear.outline.is_some() { TALK_BYTES_MAX } else { 0 };
        let parked = (wire.incoming_max().max(message_bytes) / "/help\n".len() + 2) * help_bytes;
        if hoarded > 64 * 1024 + parked {
            Rule::Memory.broken(format!("{hoarded} bytes are kept for it"))
        } else {
            Ok(())
        }
    }

    /// If the hub would sleep, nothing may be left that no event will announce.
    pub(crate) fn judge_rest(&self, now: Instant, wake: Wake) -> Verdict {
        let wakes_at = match wake {
            Wake::Now => return Ok(()),
            Wake::At(time) => Some(time),
            Wake::OnEvent => None,
        };
        let may_be_braked = wakes_at.is_some_and(|time| time.saturating_duration_since(now) <= BRAKE_MAX)
            || self.may_be_throttled(now, wakes_at);
        let has_wall = self.live().any(|room| room.is_at_wall);
        self.rests_outstayed()?;
        for &member in &self.active {
            let wire = self.wires[member].borrow();
            let is_braked = may_be_braked || self.is_at_wall(member) || self.may_wait_for_leaver(member);
            // At the wall, too: the poller has reported it. The next write finds it, after the pause between two last
            // words.
            let pause = if self.config.flush_after.is_some() { PAUSE } else { Duration::ZERO };
            let goes_on = wakes_at.is_some_and(|time| time.saturating_duration_since(now) <= BRAKE_MAX.max(pause));
            if wire.reset == Reset::Untold && !wire.is_closed && !wire.has_edge() && !goes_on {
                return Rule::Rest.broken(self.about(member, "at rest: its reset is not noticed"));
            }
            if !goes_on && wire.reset == Reset::No && wire.is_end_unread() && self.has_nothing_to_say(member) {
                return Rule::Rest.broken(self.about(member, "at rest: its end is not noticed"));
            }
            if wire.is_closed || wire.reset != Reset::No {
                continue;
            }
            let latest = self.wakes_for(member, now).or_else(|| self.enters_by(member, now));
            if latest.is_some_and(|latest| wakes_at.is_none_or(|wakes_at| wakes_at > latest)) {
                return Rule::Rest.broken(self.about(member, "at rest: it may stay so for ever"));
            }
            if wire.is_blocked() {
                continue;
            }
            if wire.sealing.as_ref().is_some_and(|sealing| sealing.is_amid_record()) {
                return Rule::Records.broken(self.about(member, "at rest: a record was not written to its end"));
            }
            let is_forgotten = |silent_at| wakes_at.is_none_or(|wakes_at| wakes_at > silent_at);
            if !is_braked && wire.ear.silent_at().is_some_and(is_forgotten) && self.is_heard(member) {
                return Rule::Rest.broken(self.about(member, "at rest: its silence is forgotten"));
            }
            if self.may_pause(member, &wire, now, wakes_at) {
                continue;
            }
            if let Some(line) = self.members[member].losses.front().filter(|_| self.is_heard(member)) {
                return Rule::Names.broken(self.about(member, &format!("at rest: it was not told {line:?}")));
            }
            self.rests(member, &wire, is_braked)
                .map_err(
                    |violation| if has_wall && !is_braked { violation.of(Rule::Apart) } else { violation.at_rest() },
                )
                .map_err(|violation| violation.about(self.about(member, "at rest")))?;
        }
        Ok(())
    }

    /// If the hub would sleep: judges that no client outstayed its time. This comes first, because such a client may
    /// keep the room from everything else.
    fn rests_outstayed(&self) -> Verdict {
        for &member in &self.active {
            let wire = self.wires[member].borrow();
            let known = &self.members[member];
            if !known.is_present() || self.is_shutting_down || wire.is_closed || wire.reset != Reset::No {
                continue;
            }
            let outstayed =
                [(known.idleness.must_be_gone, Rule::IdleTimeout), (known.stall().must_be_gone(), Rule::TooSlow)];
            if let Some((_, rule)) = outstayed.into_iter().find(|(has_outstayed, _)| *has_outstayed) {
                return rule.broken(self.about(member, "at rest: its time was over, and it is still here"));
            }
        }
        Ok(())
    }

    /// Whether all that was read of a plain client was said and answered, so that the wall does not concern it.
    fn has_nothing_to_say(&self, member: usize) -> bool {
        let wire = self.wires[member].borrow();
        let is_done = || self.all_heard(member).is_ok() && self.all_answered(member).is_ok();
        self.config.rate.is_none() && !wire.is_blocked() && wire.ear.is_between_lines() && is_done()
    }

    /// Whether what a client says counts.
    pub(crate) fn is_heard(&self, member: usize) -> bool {
        let known = &self.members[member];
        known.is_present() && !known.has_fin && !known.is_kicked && !self.is_shutting_down
    }

    fn rests(&self, member: usize, wire: &Wire, is_braked: bool) -> Verdict {
        let known = &self.members[member];
        if !is_braked && wire.is_unread() {
            return Rule::Rest.broken("its input is forgotten");
        }
        if wire.is_handshaking() {
            let is_forgotten = wire.ear.ended.is_some() || self.is_shutting_down;
            return Rule::Rest.demands(!is_forgotten, || "it is still here".to_owned());
        }
        if self.is_visitor(member) {
            return self.rests_visitor(member, wire, is_braked);
        }
        if wire.has_header() && !self.is_shutting_down {
            // The rest of its header is to come.
            return Ok(());
        }
        self.rests_socket(member)?;
        if known.is_entering() && !known.has_fin {
            let ear = &wire.ear;
            let has_ended = ear.ended.is_some() || ear.leaves_by_word() || self.is_shutting_down;
            // The brake holds its first line, and what it sent behind that.
            return Rule::Farewell.demands(!has_ended || is_braked, || "it leaves, and was not told FIN".to_owned());
        }
        if known.has_fin || known.number.is_none() {
            return if wire.is_finished { Ok(()) } else { Rule::Rest.broken("it is still here") };
        }
        if !known.partial.is_empty() {
            return Rule::Rest.broken("a line was not written to its end");
        }
        self.all_given(member)?;
        if is_braked {
            return Ok(());
        }
        if wire.ear.is_leaving() || self.is_shutting_down {
            return Rule::Farewell.broken("it leaves, and was not told FIN");
        }
        if known.is_kicked {
            return Ok(());
        }
        self.all_heard(member)?;
        self.all_answered(member)
    }

    /// Judges that a client was sent everything up to the end, or told that it missed it.
    fn all_given(&self, member: usize) -> Verdict {
        let known = &self.members[member];
        if known.way.is_some() && known.is_present() {
            return Rule::Border.broken("it does not arrive");
        }
        if known.stays.len() > 1 {
            return Rule::Border.broken("it was not told where it is");
        }
        if !known.is_greeted() && known.tracked.is_none() {
            // The next line will tell whether it is sent any earlier lines, and is owed more.
            return Ok(());
        }
        self.judge_missed(member)?;
        if known.tracked.is_some() {
            return Ok(());
        }
        let stay = known.stay();
        let items = &self.rooms[stay.room].log.items;
        let is_owed = |at: usize| items[at].kind != Kind::Said && !self.is_own(member, stay, at);
        let owes_notice = (stay.next..self.stop(stay)).any(is_owed);
        if owes_notice && stay.missed == 0 && !stay.lags {
            return Rule::Delivery.broken("a notice is owed");
        }
        Ok(())
    }
}
