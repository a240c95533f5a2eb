//! Who of those that wait for a call goes next. Calls of a connector share its slots; inside, each service has a lane of
//! its own, and in a lane each state machine has a queue: lanes take turns, machines take turns in a lane, and in a
//! queue the oldest goes first. So whatever is slow delays only its like.
//!
//! Plain data without a clock: times are given, and nothing is polled. What is not limited costs a look into a map.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use stepwright_machine::Millis;

use crate::limits::{Bucket, Limit, TaskLimits};

/// Lanes of a connector that are shown by name; the others are shown together.
const SHOWN: usize = 128;
/// Lanes of a connector, or machines, beyond which idle ones are forgotten. A lane may be named by the input of a state,
/// so there may be any number of them.
const KEPT: usize = 1_024;
/// What the lanes are called that are not shown by name.
const OTHERS: &str = "(others)";

/// A state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MachineKey {
    pub(crate) scope: u32,
    pub(crate) machine: u64,
}

/// Whose limits a call counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallKey {
    /// The connector's place.
    pub(crate) connector: usize,
    pub(crate) service: Arc<str>,
    pub(crate) machine: MachineKey,
    pub(crate) machine_name: Arc<str>,
}

/// Where something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    lane: usize,
    machine: MachineKey,
    sequence: u64,
}

/// What a connector's calls of one service are at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// The connector's name.
    pub connector: &'static str,
    /// The service, as the connector calls it. Of a connector that called very many, `(others)` are all but the first.
    pub service: Arc<str>,
    /// Calls under way.
    pub in_flight: u64,
    /// Tasks that wait for their call.
    pub waiting: u64,
    /// For how long the oldest of them has waited in this process, in milliseconds.
    pub oldest_wait_ms: u64,
    /// Calls made since the engine was opened.
    pub calls: u64,
    /// How many of them failed or were given up, because their state timed out or their execution ended.
    pub failures: u64,
}

/// The slots of a connector.
struct Pool {
    name: &'static str,
    slots: usize,
    bucket: Option<Bucket>,
    in_flight: usize,
    lanes: HashMap<Arc<str>, usize>,
    /// Lanes that something waits in and that their own limits let go on, in turn.
    turns: VecDeque<usize>,
    /// Lanes shown by name.
    shown: usize,
    /// What lanes came to that were not shown or are forgotten.
    others: (u64, u64),
    /// How many lanes there may be before idle ones are looked for.
    look_at: usize,
    /// Something changed since it was looked at.
    changed: bool,
}

/// The calls of a service.
struct Lane<T> {
    pool: usize,
    service: Arc<str>,
    slots: usize,
    /// It has no slots of its own: it takes as many as are left.
    shares: bool,
    bucket: Option<Bucket>,
    in_flight: usize,
    waiting: usize,
    queues: HashMap<MachineKey, Queue<T>>,
    /// Machines that wait and that their own limits let go on, in turn.
    turns: VecDeque<MachineKey>,
    /// Whether it is among the turns of its pool.
    listed: bool,
    shown: bool,
    calls: u64,
    failures: u64,
}

/// The tasks of a machine that wait in a lane, by age.
struct Queue<T> {
    name: Arc<str>,
    tasks: BTreeMap<u64, (Millis, T)>,
    /// Whether it is among the turns of its lane.
    listed: bool,
}

/// The calls of a state machine whose calls are limited.
struct Machine {
    slots: usize,
    bucket: Option<Bucket>,
    in_flight: usize,
    /// Lanes in which its queue waits for its own limits.
    parked: Vec<usize>,
}

/// What goes on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Pool(usize),
    Lane(usize),
    Machine(MachineKey),
}

/// What keeps a call.
enum Kept {
    /// The limits of its pool.
    Pool,
    /// Its lane has as many as are left; others may go on.
    Share,
    /// The limits of its lane.
    Lane,
    /// The limits of its machine.
    Machine,
}

/// Whether it is time. No rate keeps anybody for longer than a second, so what is later was set before the clock was set
/// back.
pub(crate) fn is_due(at: Millis, now: Millis) -> bool {
    at <= now || at > now.saturating_add(1_000)
}

/// All that is under way and waits.
pub(crate) struct Fair<T> {
    limits: TaskLimits,
    limits_machines: bool,
    pools: Vec<Pool>,
    lanes: Vec<Option<Lane<T>>>,
    /// Places of `lanes` that are empty.
    empty: Vec<usize>,
    machines: HashMap<MachineKey, Machine>,
    wakes: BTreeSet<(Millis, Wake)>,
    waiting: usize,
}

impl<T> Fair<T> {
    /// Of connectors with these names and limits of their own.
    pub(crate) fn new(connectors: impl IntoIterator<Item = (&'static str, usize)>, limits: TaskLimits) -> Self {
        let pools = connectors
            .into_iter()
            .map(|(name, own)| {
                let limit = limits.of_connector(name);
                Pool {
                    name,
                    slots: own.min(limit.concurrency.unwrap_or(usize::MAX)).max(1),
                    bucket: limit.rate.map(Bucket::new),
                    in_flight: 0,
                    lanes: HashMap::new(),
                    turns: VecDeque::new(),
                    shown: 0,
                    others: (0, 0),
                    look_at: KEPT,
                    changed: false,
                }
            })
            .collect();
        Self {
            limits_machines: limits.limits_machines(),
            limits,
            pools,
            lanes: Vec::new(),
            empty: Vec::new(),
            machines: HashMap::new(),
            wakes: BTreeSet::new(),
            waiting: 0,
        }
    }

    /// Tasks that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    fn lane(&mut self, at: usize) -> &mut Lane<T> {
        self.lanes[at].as_mut().expect("a lane that is known")
    }

    /// The lane of a call; made if there is none.
    fn lane_of(&mut self, key: &CallKey, now: Millis) -> usize {
        let pool = &mut self.pools[key.connector];
        if let Some(at) = pool.lanes.get(&key.service) {
            return *at;
        }
        if pool.lanes.len() >= pool.look_at {
            self.forget_idle(key.connector, now);
        }
        let pool = &mut self.pools[key.connector];
        let limit = self.limits.of_service(pool.name, &key.service);
        let shown = pool.shown < SHOWN;
        pool.shown += usize::from(shown);
        let lane = Lane {
            pool: key.connector,
            service: key.service.clone(),
            slots: limit.concurrency.unwrap_or(usize::MAX).max(1),
            // The one service of a connector need not leave anything to others.
            shares: limit.concurrency.is_none() && *key.service != *pool.name,
            bucket: limit.rate.map(Bucket::new),
            in_flight: 0,
            waiting: 0,
            queues: HashMap::new(),
            turns: VecDeque::new(),
            listed: false,
            shown,
            calls: 0,
            failures: 0,
        };
        let at = match self.empty.pop() {
            Some(at) => {
                self.lanes[at] = Some(lane);
                at
            }
            None => {
                self.lanes.push(Some(lane));
                self.lanes.len() - 1
            }
        };
        self.pools[key.connector].lanes.insert(key.service.clone(), at);
        at
    }

    /// Forgets lanes of a connector in which nothing is at hand.
    fn forget_idle(&mut self, pool: usize, now: Millis) {
        let pool = &mut self.pools[pool];
        let (lanes, empty) = (&mut self.lanes, &mut self.empty);
        let mut shown = 0;
        pool.lanes.retain(|_, at| {
            let Some(lane) = &lanes[*at] else { return false };
            let rests = lane.bucket.is_none_or(|bucket| bucket.is_full(now));
            if lane.in_flight > 0 || lane.waiting > 0 || lane.listed || !rests {
                shown += usize::from(lane.shown);
                return true;
            }
            pool.others.0 += lane.calls;
            pool.others.1 += lane.failures;
            lanes[*at] = None;
            empty.push(*at);
            false
        });
        pool.shown = shown;
        pool.look_at = KEPT.max(2 * pool.lanes.len());
    }

    /// What is counted of a machine, if machines are limited.
    fn machine_of(&mut self, key: MachineKey, name: &str, now: Millis) -> Option<&mut Machine> {
        if !self.limits_machines {
            return None;
        }
        if self.machines.len() >= KEPT && !self.machines.contains_key(&key) {
            let rests = |machine: &Machine| machine.bucket.is_none_or(|bucket| bucket.is_full(now));
            self.machines.retain(|_, machine| machine.in_flight > 0 || !machine.parked.is_empty() || !rests(machine));
        }
        Some(self.machines.entry(key).or_insert_with(|| {
            let Limit { concurrency, rate } = self.limits.of_machine(name);
            let slots = concurrency.unwrap_or(usize::MAX).max(1);
            Machine { slots, bucket: rate.map(Bucket::new), in_flight: 0, parked: Vec::new() }
        }))
    }

    /// Begins a call, if all limits let it.
    fn begin(&mut self, lane: usize, machine: MachineKey, name: &str, now: Millis) -> Result<(), Kept> {
        if let Some(kept) = self.kept_by_pool(lane, now).or_else(|| self.kept_by_lane(lane, now)) {
            return Err(kept);
        }
        if let Some(of) = self.machine_of(machine, name, now) {
            if let Some(at) = of.bucket.as_mut().and_then(|bucket| bucket.blocked_until(now)) {
                self.wakes.insert((at, Wake::Machine(machine)));
                return Err(Kept::Machine);
            }
            if of.in_flight >= of.slots {
                return Err(Kept::Machine);
            }
            of.in_flight += 1;
            if let Some(bucket) = &mut of.bucket {
                bucket.take(now);
            }
        }
        let lane = self.lanes[lane].as_mut().expect("a lane that is known");
        let pool = &mut self.pools[lane.pool];
        lane.in_flight += 1;
        pool.in_flight += 1;
        for bucket in [&mut lane.bucket, &mut pool.bucket].into_iter().flatten() {
            bucket.take(now);
        }
        Ok(())
    }

    fn kept_by_pool(&mut self, lane: usize, now: Millis) -> Option<Kept> {
        let lane = self.lanes[lane].as_ref().expect("a lane that is known");
        let pool = &mut self.pools[lane.pool];
        if pool.in_flight >= pool.slots {
            return Some(Kept::Pool);
        }
        if let Some(at) = pool.bucket.as_mut().and_then(|bucket| bucket.blocked_until(now)) {
            self.wakes.insert((at, Wake::Pool(lane.pool)));
            return Some(Kept::Pool);
        }
        (lane.shares && lane.in_flight >= pool.slots - pool.in_flight).then_some(Kept::Share)
    }

    fn kept_by_lane(&mut self, at: usize, now: Millis) -> Option<Kept> {
        let lane = self.lanes[at].as_mut().expect("a lane that is known");
        if let Some(until) = lane.bucket.as_mut().and_then(|bucket| bucket.blocked_until(now)) {
            self.wakes.insert((until, Wake::Lane(at)));
            return Some(Kept::Lane);
        }
        (lane.in_flight >= lane.slots).then_some(Kept::Lane)
    }

    /// A slot for a call that waits for nobody: if there is one, and none that waits could have it.
    pub(crate) fn reserve(&mut self, key: &CallKey, now: Millis) -> bool {
        let at = self.lane_of(key, now);
        let lane = self.lanes[at].as_ref().expect("a lane that is known");
        let pool = &self.pools[key.connector];
        // What others wait for that a bucket keeps must not be taken from them by who comes just then.
        let overtakes = !lane.turns.is_empty()
            || lane.queues.contains_key(&key.machine)
            || pool.bucket.is_some() && !pool.turns.is_empty()
            || self.machines.get(&key.machine).is_some_and(|machine| !machine.parked.is_empty());
        !overtakes && self.begin(at, key.machine, &key.machine_name, now).is_ok()
    }

    /// Something waits for a slot; its sequence is its place.
    pub(crate) fn push(&mut self, key: &CallKey, sequence: u64, task: T, now: Millis) -> Place {
        let at = self.lane_of(key, now);
        let lane = self.lane(at);
        let queue = lane.queues.entry(key.machine).or_insert_with(|| Queue {
            name: key.machine_name.clone(),
            tasks: BTreeMap::new(),
            listed: false,
        });
        let is_new = queue.tasks.insert(sequence, (now, task)).is_none();
        lane.waiting += usize::from(is_new);
        self.waiting += usize::from(is_new);
        self.list_machine(at, key.machine);
        Place { lane: at, machine: key.machine, sequence }
    }

    /// Something waits no more.
    pub(crate) fn remove(&mut self, place: Place) -> Option<T> {
        let lane = self.lanes.get_mut(place.lane)?.as_mut()?;
        let queue = lane.queues.get_mut(&place.machine)?;
        let (_, task) = queue.tasks.remove(&place.sequence)?;
        lane.waiting -= 1;
        self.waiting -= 1;
        if queue.tasks.is_empty() && !queue.listed {
            lane.queues.remove(&place.machine);
        }
        Some(task)
    }

    /// Lets only those wait that are to.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) -> Vec<T> {
        let mut places = Vec::new();
        for (at, lane) in self.lanes.iter().enumerate() {
            let Some(lane) = lane else { continue };
            for (machine, queue) in &lane.queues {
                let gone = queue.tasks.iter().filter(|(_, (_, task))| !keep(task));
                places.extend(gone.map(|(sequence, _)| Place { lane: at, machine: *machine, sequence: *sequence }));
            }
        }
        places.into_iter().filter_map(|place| self.remove(place)).collect()
    }

    /// A machine has its turn in a lane, if it waits there.
    fn list_machine(&mut self, at: usize, machine: MachineKey) {
        let Some(lane) = &mut self.lanes[at] else { return };
        let Some(queue) = lane.queues.get_mut(&machine) else { return };
        if !queue.listed {
            queue.listed = true;
            lane.turns.push_back(machine);
        }
        self.list_lane(at);
    }

    /// A lane has its turn, if something waits in it.
    fn list_lane(&mut self, at: usize) {
        let Some(lane) = &mut self.lanes[at] else { return };
        let pool = &mut self.pools[lane.pool];
        if !lane.listed && !lane.turns.is_empty() {
            lane.listed = true;
            pool.turns.push_back(at);
        }
        pool.changed |= !pool.turns.is_empty();
    }

    /// A call is over. Unless it was `made`, it counts for no rate.
    pub(crate) fn release(&mut self, key: &CallKey, made: bool) {
        let pool = &mut self.pools[key.connector];
        pool.in_flight -= 1;
        pool.changed |= !pool.turns.is_empty();
        let at = pool.lanes[&key.service];
        let lane = self.lanes[at].as_mut().expect("a lane with a call under way");
        lane.in_flight -= 1;
        let mut buckets = vec![];
        if !made {
            buckets.extend([&mut pool.bucket, &mut lane.bucket]);
        }
        let mut parked = Vec::new();
        if let Some(machine) = self.machines.get_mut(&key.machine) {
            machine.in_flight -= 1;
            parked = std::mem::take(&mut machine.parked);
            if !made {
                buckets.push(&mut machine.bucket);
            }
        }
        buckets.into_iter().flatten().for_each(Bucket::give_back);
        self.list_lane(at);
        for lane in parked {
            self.list_machine(lane, key.machine);
        }
    }

    /// A call is made with a slot.
    pub(crate) fn made(&mut self, key: &CallKey) {
        self.lane_with_a_call(key).calls += 1;
    }

    /// It failed, or was given up. Before its slot is released.
    pub(crate) fn failed(&mut self, key: &CallKey) {
        self.lane_with_a_call(key).failures += 1;
    }

    fn lane_with_a_call(&mut self, key: &CallKey) -> &mut Lane<T> {
        let at = self.pools[key.connector].lanes[&key.service];
        self.lane(at)
    }

    /// The next one that has a slot from now on. To be asked until there is none, and again at [`Self::wakes_at`].
    pub(crate) fn next(&mut self, now: Millis) -> Option<(CallKey, T)> {
        while let Some((at, wake)) = self.wakes.first().copied().filter(|(at, _)| is_due(*at, now)) {
            self.wakes.remove(&(at, wake));
            match wake {
                Wake::Pool(pool) => self.pools[pool].changed = true,
                Wake::Lane(lane) => self.list_lane(lane),
                Wake::Machine(key) => {
                    let parked = self.machines.get_mut(&key).map(|machine| std::mem::take(&mut machine.parked));
                    for lane in parked.unwrap_or_default() {
                        self.list_machine(lane, key);
                    }
                }
            }
        }
        for pool in 0..self.pools.len() {
            if std::mem::take(&mut self.pools[pool].changed)
                && let Some(next) = self.next_of_pool(pool, now)
            {
                self.pools[pool].changed = true;
                return Some(next);
            }
        }
        None
    }

    /// When something that waits for a rate is to be looked at again.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    fn next_of_pool(&mut self, pool: usize, now: Millis) -> Option<(CallKey, T)> {
        for _ in 0..self.pools[pool].turns.len() {
            let at = self.pools[pool].turns.pop_front()?;
            self.lane(at).listed = false;
            match self.next_of_lane(at, now) {
                Ok(next) => {
                    self.list_lane(at);
                    return Some(next);
                }
                Err(Kept::Pool) => {
                    // Nobody of this pool goes on: it stays the next.
                    self.lane(at).listed = true;
                    self.pools[pool].turns.push_front(at);
                    return None;
                }
                Err(Kept::Share) => {
                    // A call that ends lets it be looked at again.
                    self.lane(at).listed = true;
                    self.pools[pool].turns.push_back(at);
                }
                // Its next call that ends, or the time, lists it again.
                Err(Kept::Lane | Kept::Machine) => {}
            }
        }
        None
    }

    fn next_of_lane(&mut self, at: usize, now: Millis) -> Result<(CallKey, T), Kept> {
        while let Some(key) = self.lane(at).turns.front().copied() {
            let lane = self.lane(at);
            let Some(queue) = lane.queues.get_mut(&key).filter(|queue| !queue.tasks.is_empty()) else {
                lane.turns.pop_front();
                lane.queues.remove(&key);
                continue;
            };
            let name = queue.name.clone();
            match self.begin(at, key, &name, now) {
                Ok(()) => {}
                Err(Kept::Machine) => {
                    let lane = self.lane(at);
                    lane.turns.pop_front();
                    if let Some(queue) = lane.queues.get_mut(&key) {
                        queue.listed = false;
                    }
                    if let Some(machine) = self.machines.get_mut(&key)
                        && !machine.parked.contains(&at)
                    {
                        machine.parked.push(at);
                    }
                    continue;
                }
                Err(kept) => return Err(kept),
            }
            self.waiting -= 1;
            let lane = self.lane(at);
            lane.waiting -= 1;
            lane.turns.pop_front();
            let (pool, service) = (lane.pool, lane.service.clone());
            let queue = lane.queues.get_mut(&key).expect("it was there");
            let (_, (_, task)) = queue.tasks.pop_first().expect("it is not empty");
            if queue.tasks.is_empty() {
                lane.queues.remove(&key);
            } else {
                lane.turns.push_back(key);
            }
            return Ok((CallKey { connector: pool, service, machine: key, machine_name: name }, task));
        }
        Err(Kept::Machine)
    }

    /// What all services are at, by connector and name.
    pub(crate) fn stats(&self, now: Millis) -> Vec<ServiceStats> {
        let mut stats = Vec::new();
        for (at, pool) in self.pools.iter().enumerate() {
            let (calls, failures) = pool.others;
            let mut others = ServiceStats {
                connector: pool.name,
                service: OTHERS.into(),
                calls,
                failures,
                ..ServiceStats::default()
            };
            let first = stats.len();
            for lane in self.lanes.iter().flatten().filter(|lane| lane.pool == at) {
                let oldest =
                    lane.queues.values().filter_map(|queue| queue.tasks.values().next()).map(|(at, _)| *at).min();
                let of = ServiceStats {
                    connector: pool.name,
                    service: lane.service.clone(),
                    in_flight: lane.in_flight as u64,
                    waiting: lane.waiting as u64,
                    oldest_wait_ms: oldest.map_or(0, |at| u64::try_from(now.saturating_sub(at)).unwrap_or(0)),
                    calls: lane.calls,
                    failures: lane.failures,
                };
                if lane.shown {
                    stats.push(of);
                } else {
                    others.in_flight += of.in_flight;
                    others.waiting += of.waiting;
                    others.oldest_wait_ms = others.oldest_wait_ms.max(of.oldest_wait_ms);
                    others.calls += of.calls;
                    others.failures += of.failures;
                }
            }
            stats[first..].sort_by(|one, other| one.service.cmp(&other.service));
            let none = ServiceStats { connector: pool.name, service: OTHERS.into(), ..ServiceStats::default() };
            if others != none {
                stats.push(others);
            }
        }
        stats
    }
}

#[cfg(test)]
mod tests;
