//! Tasks that nobody has declared: requests that share a prompt and whose answers come from a small closed set.
//!
//! Owns what is remembered of the traffic to find them, within [`Discovery::BYTES_MAX`], and the proposals. Refuses to serve
//! or to train anything, and to judge what may be looked at: private requests and conversations of more than one turn must
//! not be shown to it.
//!
//! A request is looked at twice: by its system prompt, and by its user message. Either has keys, hashes of its first and
//! last so many words; a key that was met with three different requests opens a group. From the samples of a group its
//! templates are inferred; from then on they say what belongs to it, and change where a request of the same key does not
//! fit. Groups of one task that began apart (under the names of different users, say) are merged when their templates and
//! labels agree.

mod answers;
mod group;
mod keys;

use api::Template;
use serde::{Deserialize, Serialize};

use self::group::{Face, Group};
use self::keys::{Doorkeeper, Keys};

pub use self::answers::Shape;

/// Groups at once; the one that was met least recently gives way.
const GROUPS_MAX: usize = 256;
/// Longer prompts are not looked at.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Different requests with the same key that open a group.
const MET_MIN: u8 = 3;
/// A group's templates claim requests before any keys do, from so many requests on.
const SETTLED: u64 = 16;
/// A proposal needs inputs that differ.
const INPUTS_MIN: usize = 16;
const SAMPLES_SHOWN: usize = 5;
const SAMPLE_CHARS_MAX: usize = 200;

/// A request of one turn and its whole answer.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Whose request it was: tenants never share a group.
    pub tenant: &'a str,
    /// The system prompt, where there was one.
    pub system: Option<&'a str>,
    /// The user's message.
    pub user: &'a str,
    /// The answer.
    pub answer: &'a str,
    /// Who gave it.
    pub model: &'a str,
}

/// A task that may be worth declaring, with the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// A short name that stays the same while the task is seen: 12 hexadecimal digits.
    pub id: String,
    /// Whose requests they are.
    pub tenant: String,
    /// What the system prompts are made from; `None` where there are none. Never has an `{input}`.
    pub system: Option<Template>,
    /// What the messages are made from; `None` where a message is the input as a whole.
    pub user: Option<Template>,
    /// The labels that came more than once, with how often, the most frequent first.
    pub labels: Vec<(String, u64)>,
    /// Requests that were counted.
    pub requests: u64,
    /// Who answered, the most frequent first.
    pub models: Vec<String>,
    /// At most 5 inputs, each cut to 200 characters.
    pub samples: Vec<String>,
    /// How the answers give the label.
    pub shape: Shape,
}

/// What is remembered of the traffic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Discovery {
    groups: Vec<Group>,
    /// Requests looked at.
    requests: u64,
    /// Only opens groups: what it forgets over a restart comes again.
    #[serde(skip)]
    doorkeeper: Doorkeeper,
}

impl Discovery {
    /// The most that is ever remembered, in bytes of text: 256 groups with 48 KiB of samples, 32 KiB of templates and the
    /// labels of each, and the doorkeeper's table. The memory taken is about a fifth more.
    pub const BYTES_MAX: usize = GROUPS_MAX * group::BYTES_MAX + keys::DOORKEEPER_BYTES;

    /// Takes a request and its answer into account. Takes 20 to 60 microseconds for most requests, and milliseconds (up to
    /// 50 for the longest prompts) where one does not fit the template of its group: call it off the runtime's threads.
    pub fn observe(&mut self, seen: Seen<'_>) {
        let bytes = seen.system.map_or(0, str::len) + seen.user.len();
        if bytes > REQUEST_BYTES_MAX || seen.user.trim().is_empty() {
            return;
        }
        self.requests += 1;
        for face in [Face::System, Face::User] {
            if let Some(keys) = Keys::of(face, &seen) {
                self.observe_face(face, &keys, &seen);
            }
        }
    }

    /// The tasks found so far, those with the most requests first.
    pub fn proposals(&self) -> Vec<Proposal> {
        let closed: Vec<&Group> = self.groups.iter().filter(|group| is_task(group)).collect();
        let mut proposals: Vec<Proposal> = closed
            .iter()
            .filter(|group| !is_told_better(group, &closed))
            .filter_map(|group| propose(group))
            .collect();
        proposals.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.id.cmp(&b.id)));
        proposals
    }

    /// Requests looked at.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Bytes of text that are remembered now.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(Group::bytes).sum::<usize>() + self.doorkeeper.bytes()
    }

    fn observe_face(&mut self, face: Face, keys: &Keys, seen: &Seen<'_>) {
        if let Some(place) = self.settled(face, seen) {
            self.count(place, seen);
            return;
        }
        let met: Vec<u8> = keys.wide.iter().map(|key| self.doorkeeper.meet(*key, keys.request)).collect();
        for (key, met) in keys.wide.iter().zip(met) {
            let place = match self.groups.iter().position(|group| group.id == *key) {
                Some(place) => place,
                None if met >= MET_MIN => self.open(Group::new(*key, face, keys.narrow, seen.tenant)),
                None => continue,
            };
            if self.groups[place].takes(seen) {
                self.count(place, seen);
                return;
            }
            // What a wider key says is no task is none for a narrower one, which knows less.
            if self.groups[place].hopeless {
                return;
            }
        }
    }

    /// The group whose templates have shown what they are worth and which the request fits, the most telling one.
    fn settled(&self, face: Face, seen: &Seen<'_>) -> Option<usize> {
        let own = |group: &Group| group.face == face && group.tenant == seen.tenant;
        let settled = |group: &Group| group.answers.requests() >= SETTLED && group.answers.is_promising();
        let fitting = self.groups.iter().enumerate().filter(|(_, group)| own(group) && settled(group));
        let fitting = fitting.filter(|(_, group)| group.fits(seen));
        fitting.max_by_key(|(_, group)| group.fixed_bytes()).map(|(place, _)| place)
    }

    fn count(&mut self, place: usize, seen: &Seen<'_>) {
        let now = self.requests;
        let group = &mut self.groups[place];
        group.count(seen, now);
        let requests = group.answers.requests();
        if requests >= SETTLED && requests.is_power_of_two() {
            self.merge(place);
        }
    }

    /// Adds a group, in the place of the least recently met one that is no task if there is no room.
    fn open(&mut self, mut group: Group) -> usize {
        group.met_at = self.requests;
        if self.groups.len() < GROUPS_MAX {
            self.groups.push(group);
            return self.groups.len() - 1;
        }
        let rank = |group: &Group| (!group.hopeless && group.answers.is_closed(), group.met_at);
        let place = (0..self.groups.len()).min_by_key(|place| rank(&self.groups[*place])).unwrap_or(0);
        self.groups[place] = group;
        place
    }

    /// Looks for another group of the same task.
    fn merge(&mut self, place: usize) {
        let own = &self.groups[place];
        let joint = self.groups.iter().enumerate().filter(|(other, _)| *other != place);
        let found = joint.filter(|(_, group)| own.may_join(group)).find_map(|(other, group)| {
            let forms = own.joint(group)?;
            Some((other, forms))
        });
        let Some((other, (samples, forms))) = found else { return };
        let (keep, lose) = if self.groups[place].answers.requests() >= self.groups[other].answers.requests() {
            (place, other)
        } else {
            (other, place)
        };
        let lost = self.groups[lose].clone();
        self.groups[keep].absorb(&lost, samples, forms);
        self.groups.swap_remove(lose);
    }
}

fn is_task(group: &Group) -> bool {
    !group.hopeless && group.answers.is_closed() && group.inputs.len() >= INPUTS_MIN
}

/// Whether other groups say the same in a better way: a message's template under a system prompt that is a task itself
/// says less, and a system prompt under which messages of several templates get labels of their own is several tasks.
fn is_told_better(group: &Group, closed: &[&Group]) -> bool {
    let within = |inner: &Group, outer: &Group| inner.tenant == outer.tenant && inner.samples_fit(outer);
    let is_several = |outer: &Group| {
        let inner = closed.iter().filter(|inner| inner.face == Face::User && within(inner, outer));
        let inner: Vec<&&Group> = inner.collect();
        let requests: u64 = inner.iter().map(|inner| inner.answers.requests()).sum();
        let apart =
            |place: usize| inner[..place].iter().all(|other| !other.answers.overlap(&inner[place].answers));
        inner.len() > 1 && requests * 5 >= outer.answers.requests() * 4 && (1..inner.len()).all(apart)
    };
    match group.face {
        Face::System => is_several(group),
        Face::User => closed
            .iter()
            .any(|outer| outer.face == Face::System && within(group, outer) && !is_several(outer)),
    }
}

fn propose(group: &Group) -> Option<Proposal> {
    let forms = group.forms.as_ref()?;
    let inputs = group.sample_inputs();
    let cut = |input: &str| input.chars().take(SAMPLE_CHARS_MAX).collect();
    Some(Proposal {
        id: format!("{:012x}", group.id >> 16),
        tenant: group.tenant.clone(),
        system: forms.system.clone(),
        user: forms.user.clone(),
        labels: group.answers.labels(),
        requests: group.answers.requests(),
        models: group.models(),
        samples: inputs.into_iter().take(SAMPLES_SHOWN).map(cut).collect(),
        shape: group.answers.shape().clone(),
    })
}

#[cfg(test)]
mod tests;
