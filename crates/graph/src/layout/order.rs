//! The order within each layer, so that few lines cross: sweeps that put each spot where its neighbours are.

use super::layers::Spot;

/// Sweeps down and up, in a flow of ordinary size.
const SWEEPS: usize = 12;
/// From so many spots on there are fewer.
const LARGE: usize = 5_000;

/// Puts every layer in order.
pub(super) fn order(spots: &[Spot], layers: &mut [Vec<usize>]) {
    let mut position = vec![0_usize; spots.len()];
    number(layers, &mut position);
    let mut best = layers.to_vec();
    let mut fewest = crossings(spots, layers, &position);
    let sweeps = if spots.len() > LARGE { 3 } else { SWEEPS };
    for sweep in 0..sweeps {
        if fewest == 0 {
            break;
        }
        let down = sweep % 2 == 0;
        let count = layers.len();
        for step in 1..count {
            let layer = if down { step } else { count - 1 - step };
            let mut keyed: Vec<(f64, usize)> = layers[layer]
                .iter()
                .map(|&spot| {
                    let near = if down { &spots[spot].above } else { &spots[spot].below };
                    let sum: usize = near.iter().map(|&other| position[other]).sum();
                    let key = if near.is_empty() { position[spot] as f64 } else { sum as f64 / near.len() as f64 };
                    (key, spot)
                })
                .collect();
            // Stable: what is equal keeps its order.
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (place, (_, spot)) in keyed.into_iter().enumerate() {
                layers[layer][place] = spot;
                position[spot] = place;
            }
        }
        let now = crossings(spots, layers, &position);
        if now < fewest {
            fewest = now;
            best = layers.to_vec();
        }
    }
    layers.clone_from_slice(&best);
}

fn number(layers: &[Vec<usize>], position: &mut [usize]) {
    for layer in layers {
        for (place, &spot) in layer.iter().enumerate() {
            position[spot] = place;
        }
    }
}

/// How often lines between neighbouring layers cross.
fn crossings(spots: &[Spot], layers: &[Vec<usize>], position: &[usize]) -> u64 {
    let mut total = 0;
    for pair in layers.windows(2) {
        // Lines by their upper ends; each crosses those before it whose lower end is further right.
        let mut seen = Counts(vec![0; pair[1].len() + 1]);
        let mut before = 0;
        for &spot in &pair[0] {
            let mut ends: Vec<usize> = spots[spot].below.iter().map(|&other| position[other]).collect();
            ends.sort_unstable();
            total += ends.iter().map(|&end| before - seen.up_to(end)).sum::<u64>();
            for end in ends {
                seen.add(end);
                before += 1;
            }
        }
    }
    total
}

/// Counts by number, with sums of all up to one (a Fenwick tree).
struct Counts(Vec<u64>);

impl Counts {
    fn add(&mut self, number: usize) {
        let mut at = number + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn up_to(&self, number: usize) -> u64 {
        let (mut at, mut sum) = (number + 1, 0);
        while at > 0 {
            sum += self.0[at];
            at -= at & at.wrapping_neg();
        }
        sum
    }
}
