//! The names that members ask for, in the order of the log, until they are answered.

use super::super::name::Name;
use super::super::sequence::Writer;

/// Most names that are asked for at a time. A client of a server that is asked for more is answered that its name is
/// taken.
const CLAIMS_MAX: usize = 10_000;

/// A member: its server and its number.
type Claimant = (Writer, u64);

/// The open claims.
///
/// Invariant: a member has at most one.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<Claim>);

#[derive(Debug)]
struct Claim {
    of: Claimant,
    name: Name,
    /// Whether the owner of the name asks for it.
    is_owner: bool,
    /// Whether the owner of the name has asked for it since: then the answer counts for nothing.
    is_void: bool,
}

impl Claims {
    /// Adds a claim in place of an earlier one of its member. Returns whether no other stands before it; none stands
    /// before that of an owner.
    pub(super) fn open(&mut self, of: Claimant, name: Name, is_owner: bool) -> bool {
        self.close(of);
        if self.0.len() >= CLAIMS_MAX {
            return false;
        }
        let mut others = self.0.iter_mut().filter(|claim| !claim.is_void && claim.name.folded() == name.folded());
        let is_first = if is_owner {
            others.for_each(|claim| claim.is_void = true);
            true
        } else {
            others.next().is_none()
        };
        self.0.push(Claim { of, name, is_owner, is_void: false });
        is_first
    }

    /// Ends the claim of a member.
    pub(super) fn close(&mut self, of: Claimant) {
        self.0.retain(|claim| claim.of != of);
    }

    /// Ends the claims of all members of a server.
    pub(super) fn close_all(&mut self, server: Writer) {
        self.0.retain(|claim| claim.of.0 != server);
    }

    /// Whether a member asks for a name as its owner.
    pub(super) fn is_of_owner(&self, of: Claimant) -> bool {
        self.0.iter().any(|claim| claim.of == of && claim.is_owner)
    }

    /// Ends the claim of a member that is given a name. Returns whether the member may have it. Where its claim was not
    /// read, it may if the name is free, and no other member asks for it.
    pub(super) fn answer(&mut self, of: Claimant, name: &Name, is_free: bool) -> bool {
        let claim = self.0.iter().find(|claim| claim.of == of);
        let may_have = match claim {
            Some(claim) => !claim.is_void && claim.name.folded() == name.folded(),
            None => is_free && !self.0.iter().any(|claim| !claim.is_void && claim.name.folded() == name.folded()),
        };
        self.close(of);
        may_have
    }

    /// Returns the claims, for tests: the number of each member, the name, and whether the claim counts.
    #[cfg(test)]
    pub(super) fn view(&self) -> Vec<(u64, String, bool)> {
        self.0.iter().map(|claim| (claim.of.1, claim.name.to_string(), !claim.is_void)).collect()
    }
}
