//! An orderly restart: what clients are told of it, and where they find themselves in the next run.

use std::collections::HashMap;

use crate::chance::Chance;
use crate::journal::restarted_config;
use crate::member::Introduction;
use crate::oracle::Oracle;
use crate::restarted::{Client, World};
use crate::rule::{Rule, Verdict};
use crate::sessions::Over;
use crate::store::Disk;

/// The private line by which a tracked client learns that the server keeps its session.
pub(crate) const HANDED_OVER: &str = "* the server is shutting down and keeps your session";

impl Oracle {
    /// Whether a stop hands the sessions over to the next run.
    pub(crate) fn hands_over(&self) -> bool {
        self.is_shutting_down && !self.kept.is_empty() && self.config.resume_within.is_some()
    }

    /// A plain member is told of the shutdown, for itself alone.
    pub(crate) fn receive_stop(&mut self, member: usize) -> Verdict {
        let known = &mut self.members[member];
        let is_first = !std::mem::replace(&mut known.is_told_of_stop, true);
        Rule::Farewell.demands(is_first && known.tracked.is_none(), || "it is told twice, or as a plain client".into())
    }

    /// Judges that a plain member was told of the shutdown before its `FIN`.
    pub(crate) fn judge_told_of_stop(&self, member: usize) -> Verdict {
        let known = &self.members[member];
        let is_due = self.hands_over() && known.is_present() && !known.is_kicked;
        let may_leave = self.wires[member].borrow().ear.is_leaving();
        Rule::Farewell.demands(!is_due || may_leave || known.is_told_of_stop, || "it was not told of the stop".into())
    }

    /// A tracked member is told that its session is kept.
    pub(crate) fn receive_handed_over(&mut self, member: usize) -> Verdict {
        let is_right = self.hands_over();
        let known = &mut self.members[member];
        let is_first = !std::mem::replace(&mut known.is_handed_over, true);
        Rule::Handover.demands(is_right && is_first, || "the server goes on".to_owned())
    }

    /// The connection of a tracked member ends in good order, without `FIN`: it was sent everything.
    pub(crate) fn end_handed_over(&mut self, member: usize) -> Verdict {
        if self.members[member].has_fin {
            return Ok(());
        }
        self.members[member].has_fin = true;
        self.end_gap(member)?;
        self.judge_missed(member)
    }

    /// Restarts the server on its journal and its handover, and judges where tracked clients find themselves.
    pub(crate) fn judge_handover(&self, disk: &Disk, chance: &mut Chance) -> Verdict {
        let handover = disk.take_handover();
        Rule::Handover.demands(handover.is_some() == self.hands_over(), || "nothing is handed over".to_owned())?;
        let Some(handover) = handover else { return Ok(()) };
        // The next runs begin as if this one had not been.
        let before: Vec<usize> = (0..self.kept.len()).map(|room| disk.text(room).len()).collect();
        let mut config = restarted_config(&self.config);
        (config.announce_up_to, config.resume_within) = (usize::MAX, Some(std::time::Duration::from_secs(30)));
        let mut world = World::new(&config);
        world.hub.keep(Box::new(disk.clone()), disk.kept(usize::MAX / 2), disk.numbers());
        world.hub.set_clock(self.clock_ms.max(1));
        let taken = world.hub.take_back(&handover, world.now);
        Rule::Handover.demands(taken.is_ok(), || format!("it is void: {taken:?}"))?;
        world.run();
        let ends: HashMap<String, u64> =
            world.hub.tapes().map(|(room, tape)| (room.to_owned(), tape.end().record)).collect();
        let mut clients = Vec::new();
        for session in 0..self.sessions.len() {
            if self.sessions[session].over() == Over::No {
                clients.extend(self.judge_return(&mut world, session, chance)?);
            }
        }
        for (room, tape) in world.hub.tapes() {
            let is_told = ends.get(room).is_none_or(|&end| end != tape.end().record);
            Rule::Handover.demands(!is_told, || format!("{room} was told of their return"))?;
        }
        // Those that are back are heard, under their names.
        for (client, name) in &clients {
            client.received();
            world.says(client, "back\n");
            let heard = client.received();
            let is_said = heard.lines().filter(|line| !line.starts_with('@')).eq([format!("{name}> back")]);
            Rule::Handover.demands(is_said, || format!("{name} is back, and heard {heard:?}"))?;
        }
        before.into_iter().enumerate().for_each(|(room, len)| disk.cut(room, len));
        Ok(())
    }

    /// A client comes back with its session, at any record of its room. Returns it and its name, if it had a seat.
    fn judge_return(
        &self,
        world: &mut World,
        session: usize,
        chance: &mut Chance,
    ) -> Result<Option<(Client, String)>, crate::rule::Violation> {
        let session = &self.sessions[session];
        let Some(member) = session.member else { return Ok(None) };
        let (known, room) = (&self.members[member], &self.rooms[session.room()]);
        // The room may still have to be told of it, as without a restart.
        let is_introduced = known.introduction != Introduction::Pending;
        let is_here = is_introduced && (known.is_present() || known.away_until.is_some());
        if !is_here || known.is_kicked {
            return Ok(None);
        }
        let name = known.names.last().cloned().unwrap_or_default();
        let end = room.log.items.len();
        let from = chance.below(end + 1);
        let client = world.connect_silently();
        world.says(&client, format!("/track {}.{from} {}\n", room.epoch, session.token));
        let answer = client.received();
        let lines: Vec<&str> = answer.lines().collect();
        let about = |what: &str| format!("{what}: {name} came back at {from} in {}, and reads {answer:?}", room.name);
        let (least, most) = if known.is_present() { self.heard_of(member) } else { session.heard };
        let heard = lines[0].split(' ').nth(4).and_then(|heard| heard.parse::<u64>().ok());
        let is_same = lines[0].starts_with(&format!("** session {} ", session.token));
        let is_named = lines[0].ends_with(&format!(" as {name}"));
        Rule::Handover.demands(is_same && is_named, || about("it is another"))?;
        let is_counted = heard.is_some_and(|heard| (least..=most).contains(&heard));
        Rule::Handover.demands(is_counted, || about(&format!("{least} to {most} lines were heard")))?;
        Rule::Handover
            .demands(lines[2].ends_with(&format!(", in {}", room.name)), || about("it is in another room"))?;
        let records: Vec<&str> = lines[3..].iter().copied().filter(|line| !line.starts_with(['@'])).collect();
        let missed = match lines[1].strip_prefix("** you missed ").and_then(|rest| rest.split(' ').next()) {
            Some(missed) => missed.parse::<usize>().ok(),
            None => (lines[1] == "** resumed").then_some(0),
        };
        // Without a journal, a client may not read what was said before it came.
        let Some(missed) = missed else {
            let is_end = from == end;
            Rule::Handover.demands(!is_end, || about("it cannot go on"))?;
            return Ok(Some((client, name)));
        };
        let expected: Vec<&str> = (from..end).map(|at| room.log.text(at)).collect();
        let is_right = missed <= expected.len() && records == expected[missed..];
        Rule::Handover.demands(is_right, || about(&format!("{expected:?} was due")))?;
        Ok(Some((client, name)))
    }
}
