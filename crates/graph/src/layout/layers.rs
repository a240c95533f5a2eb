//! Boxes and lines of one flow: turned ways, layers by longest path, and stations where a line crosses a layer.
//! Knows nothing of states: sizes come in, places go out.

use super::{Rect, order, place};

/// A line to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) from: usize,
    /// Another box than `from`.
    pub(super) to: usize,
    /// How wide and high its label is; zero: it has none.
    pub(super) label: (f64, f64),
}

/// A line with its place.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) points: Vec<(f64, f64)>,
    pub(super) label: Option<Rect>,
}

/// How much room a box takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Room to its right that is kept free.
    pub(super) beside: f64,
}

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) rects: Vec<Rect>,
    /// In the order of the links.
    pub(super) routes: Vec<Drawn>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Stations of all lines together. In a flow that needs more, the longest lines go straight, over whatever is there.
const MOST_STATIONS: usize = 20_000;
/// Between layers.
const GAP: f64 = 26.0;

/// Something that has a place in a layer: a box, or a station of a line.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) rank: usize,
    /// With what is kept free beside it.
    pub(super) width: f64,
    pub(super) height: f64,
    beside: f64,
    /// Whether it is a station.
    pub(super) station: bool,
    /// Spots in the layer above and below that it is joined with.
    pub(super) above: Vec<usize>,
    pub(super) below: Vec<usize>,
}

impl Spot {
    /// How far right of its left side its middle is.
    pub(super) fn middle(&self) -> f64 {
        (self.width - self.beside) / 2.0
    }
}

/// A link on its way down the layers.
struct Chain {
    /// The spots that it passes, its two boxes included, downwards.
    spots: Vec<usize>,
    /// Whether it leads upwards.
    turned: bool,
    /// The spot that bears its label.
    label: Option<usize>,
}

/// Gives boxes of these sizes places; `first` stands on top. The work grows with boxes, links and stations only.
pub(super) fn arrange(sizes: &[Size], links: &[Link], first: usize) -> Placed {
    let turned = turned(sizes.len(), links, first);
    let ranks = ranks(sizes.len(), links, &turned);
    let mut spots: Vec<Spot> = sizes
        .iter()
        .zip(&ranks)
        .map(|(size, &rank)| Spot {
            rank,
            width: size.width + size.beside,
            height: size.height,
            beside: size.beside,
            station: false,
            above: Vec::new(),
            below: Vec::new(),
        })
        .collect();
    let chains = chains(&mut spots, links, &turned);
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for (index, spot) in spots.iter().enumerate() {
        if layers.len() <= spot.rank {
            layers.resize(spot.rank + 1, Vec::new());
        }
        layers[spot.rank].push(index);
    }
    order::order(&spots, &mut layers);
    let left = place::place(&spots, &layers);

    let mut tops = Vec::with_capacity(layers.len());
    let mut y = 0.0;
    for layer in &layers {
        let height = layer.iter().map(|&spot| spots[spot].height).fold(0.0, f64::max);
        tops.push((y, height));
        y += height + GAP;
    }
    let height = (y - GAP).max(0.0);
    let rect = |spot: usize| {
        let Spot { rank, width, height, beside, .. } = spots[spot];
        let (top, room) = tops[rank];
        Rect { x: left[spot], y: top + (room - height) / 2.0, width: width - beside, height }
    };
    let width = (0..spots.len()).map(|spot| left[spot] + spots[spot].width).fold(0.0, f64::max);
    let rects: Vec<Rect> = (0..sizes.len()).map(rect).collect();
    let ports = ports(&rects, &chains, &left, &spots);
    let routes = chains
        .iter()
        .zip(&ports)
        .map(|(chain, &(out, into))| {
            let mut points = Vec::with_capacity(2 * chain.spots.len());
            let last = chain.spots.len() - 1;
            for (number, &spot) in chain.spots.iter().enumerate() {
                let (top, room) = tops[spots[spot].rank];
                let rect = rect(spot);
                if number == 0 {
                    points.extend([(out, rect.y + rect.height), (out, top + room)]);
                } else if number == last {
                    points.extend([(into, top), (into, rect.y)]);
                } else {
                    let middle = rect.x + rect.width / 2.0;
                    points.extend([(middle, top), (middle, top + room)]);
                }
            }
            points.dedup();
            if chain.turned {
                points.reverse();
            }
            Drawn { points, label: chain.label.map(rect) }
        })
        .collect();
    Placed { rects, routes, width, height }
}

/// Which links lead back up: those to a box that a walk from `first` is still under.
fn turned(count: usize, links: &[Link], first: usize) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, link) in links.iter().enumerate() {
        out[link.from].push(index);
    }
    let mut seen = vec![Seen::No; count];
    let mut turned = vec![false; links.len()];
    for root in std::iter::once(first).chain(0..count) {
        if seen[root] != Seen::No {
            continue;
        }
        seen[root] = Seen::Open;
        let mut stack = vec![(root, 0)];
        while let Some((at, next)) = stack.last_mut() {
            let Some(&link) = out[*at].get(*next) else {
                seen[*at] = Seen::Done;
                stack.pop();
                continue;
            };
            *next += 1;
            let to = links[link].to;
            match seen[to] {
                Seen::No => {
                    seen[to] = Seen::Open;
                    stack.push((to, 0));
                }
                Seen::Open => turned[link] = true,
                Seen::Done => {}
            }
        }
    }
    turned
}

/// The layer of each box: as deep as the longest way there. A line with a label takes a layer for it.
fn ranks(count: usize, links: &[Link], turned: &[bool]) -> Vec<usize> {
    let mut out: Vec<Vec<(usize, usize)>> = vec![Vec::new(); count];
    let mut missing = vec![0_usize; count];
    for (link, &turned) in links.iter().zip(turned) {
        let (from, to) = if turned { (link.to, link.from) } else { (link.from, link.to) };
        out[from].push((to, if link.label.1 > 0.0 { 2 } else { 1 }));
        missing[to] += 1;
    }
    let mut ranks = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|&at| missing[at] == 0).collect();
    while let Some(at) = ready.pop() {
        for &(to, length) in &out[at] {
            ranks[to] = ranks[to].max(ranks[at] + length);
            missing[to] -= 1;
            if missing[to] == 0 {
                ready.push(to);
            }
        }
    }
    ranks
}

/// Gives each link its stations, and joins spots with their neighbours.
fn chains(spots: &mut Vec<Spot>, links: &[Link], turned: &[bool]) -> Vec<Chain> {
    let span = |index: usize, spots: &[Spot]| spots[links[index].from].rank.abs_diff(spots[links[index].to].rank);
    let mut by_length: Vec<usize> = (0..links.len()).collect();
    by_length.sort_by_key(|&index| span(index, spots));
    let mut room = MOST_STATIONS;
    let mut straight = vec![false; links.len()];
    for index in by_length {
        let stations = span(index, spots).saturating_sub(1);
        straight[index] = stations > room && stations > 1;
        if !straight[index] {
            room = room.saturating_sub(stations);
        }
    }
    let mut chains = Vec::with_capacity(links.len());
    for (index, link) in links.iter().enumerate() {
        let turned = turned[index];
        let (from, to) = if turned { (link.to, link.from) } else { (link.from, link.to) };
        let (top, bottom) = (spots[from].rank, spots[to].rank);
        let labelled = link.label.1 > 0.0;
        // The label stands where the line begins for the reader.
        let label_rank = if turned { bottom - 1 } else { top + 1 };
        let mut chain = Chain { spots: vec![from], turned, label: None };
        for rank in top + 1..bottom {
            let bears = labelled && rank == label_rank;
            if straight[index] && !bears {
                continue;
            }
            let (width, height) = if bears { link.label } else { (8.0, 0.0) };
            let spot = spots.len();
            spots.push(Spot { rank, width, height, beside: 0.0, station: true, above: Vec::new(), below: Vec::new() });
            chain.spots.push(spot);
            if bears {
                chain.label = Some(spot);
            }
        }
        chain.spots.push(to);
        for pair in chain.spots.windows(2) {
            if spots[pair[0]].rank + 1 == spots[pair[1]].rank {
                spots[pair[0]].below.push(pair[1]);
                spots[pair[1]].above.push(pair[0]);
            }
        }
        chains.push(chain);
    }
    chains
}

/// Where each line leaves its upper box and enters its lower one: side by side, in the order of where they lead.
fn ports(rects: &[Rect], chains: &[Chain], left: &[f64], spots: &[Spot]) -> Vec<(f64, f64)> {
    let middle = |spot: usize| left[spot] + spots[spot].middle();
    let mut ports = vec![(0.0, 0.0); chains.len()];
    let mut ends: Vec<(usize, bool, f64, usize)> = Vec::with_capacity(2 * chains.len());
    for (index, chain) in chains.iter().enumerate() {
        let spots = &chain.spots;
        ends.push((spots[0], false, middle(spots[1]), index));
        ends.push((spots[spots.len() - 1], true, middle(spots[spots.len() - 2]), index));
    }
    ends.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3)));
    for side in ends.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let rect = rects[side[0].0];
        let step = (rect.width * 0.7 / side.len() as f64).min(24.0);
        for (number, &(_, entry, _, chain)) in side.iter().enumerate() {
            let x = rect.x + rect.width / 2.0 + step * (number as f64 - (side.len() - 1) as f64 / 2.0);
            if entry { ports[chain].1 = x } else { ports[chain].0 = x }
        }
    }
    ports
}
