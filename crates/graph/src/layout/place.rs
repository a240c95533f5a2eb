//! How far left or right each spot of a layer stands: as near to its neighbours as the order and the gaps allow, which is
//! a least-squares problem that pools of neighbours solve exactly, layer by layer.

use super::layers::Spot;

/// Between two boxes, and between two lines.
const BOX_GAP: f64 = 28.0;
const LINE_GAP: f64 = 12.0;
/// Passes down and up.
const PASSES: usize = 10;

/// The left side of every spot; the leftmost stands at 0.
pub(super) fn place(spots: &[Spot], layers: &[Vec<usize>]) -> Vec<f64> {
    let mut left = vec![0.0; spots.len()];
    for layer in layers {
        let mut x = 0.0;
        for pair in 0..layer.len() {
            if pair > 0 {
                x += gap(spots, layer[pair - 1], layer[pair]);
            }
            left[layer[pair]] = x;
            x += spots[layer[pair]].width;
        }
    }
    for pass in 0..PASSES {
        let down = pass % 2 == 0;
        let last = pass + 1 == PASSES;
        for step in 0..layers.len() {
            let layer = &layers[if down { step } else { layers.len() - 1 - step }];
            settle(spots, layer, &mut left, down || last, !down || last);
        }
    }
    let least = left.iter().copied().fold(f64::INFINITY, f64::min);
    for x in &mut left {
        *x -= least;
    }
    left
}

fn gap(spots: &[Spot], a: usize, b: usize) -> f64 {
    if spots[a].station && spots[b].station { LINE_GAP } else { BOX_GAP }
}

/// Moves the spots of a layer towards their neighbours above, below, or both.
fn settle(spots: &[Spot], layer: &[usize], left: &mut [f64], above: bool, below: bool) {
    /// Neighbouring spots that would overlap, and so move as one.
    struct Pool {
        wish: f64,
        weight: f64,
        spots: usize,
    }
    let mut pools: Vec<Pool> = Vec::with_capacity(layer.len());
    // What a spot's place would be if all before it had no width: then the order is all that must be kept.
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(layer.len());
    for (number, &spot) in layer.iter().enumerate() {
        if number > 0 {
            offset += spots[layer[number - 1]].width + gap(spots, layer[number - 1], spot);
        }
        offsets.push(offset);
        let (mut sum, mut weight) = (0.0, 0.0);
        let near = [(above, &spots[spot].above), (below, &spots[spot].below)];
        for &other in near.iter().filter(|(wanted, _)| *wanted).flat_map(|(_, near)| near.iter()) {
            // Long lines shall be straight.
            let pull = match (spots[spot].station, spots[other].station) {
                (true, true) => 8.0,
                (true, false) | (false, true) => 2.0,
                (false, false) => 1.0,
            };
            sum += pull * (left[other] + spots[other].middle());
            weight += pull;
        }
        let wish = if weight > 0.0 { sum / weight - spots[spot].middle() } else { left[spot] };
        let mut pool = Pool { wish: wish - offset, weight: weight.max(0.01), spots: 1 };
        while let Some(before) = pools.pop_if(|before| before.wish > pool.wish) {
            let weight = before.weight + pool.weight;
            let wish = (before.wish * before.weight + pool.wish * pool.weight) / weight;
            pool = Pool { wish, weight, spots: before.spots + pool.spots };
        }
        pools.push(pool);
    }
    let mut number = 0;
    for pool in pools {
        for _ in 0..pool.spots {
            left[layer[number]] = pool.wish + offsets[number];
            number += 1;
        }
    }
}
