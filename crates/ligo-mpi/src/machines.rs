use ferrompi::Communicator;
use ligo_train::sum_blocks;

use crate::world::{gather_parts_on, sum_on, sum_parts_on};

/// Ranks on machines of equally many: what crosses the network is summed within each machine first.
///
/// Only where neighbors share a machine, and a power of two of them: then a machine's ranks are a subtree of the fixed order, and the sums have
/// the same bits as without machines.
pub(crate) struct Machines {
    /// The ranks of this machine.
    inside: Communicator,
    /// One rank of each machine: those with the same place.
    across: Communicator,
}

impl Machines {
    /// `None` where the ranks do not lie so, or on one machine alone. `inside` are the ranks of this machine.
    pub(crate) fn new(world: &Communicator, inside: Communicator) -> ferrompi::Result<Option<Self>> {
        let mut first = [world.rank()];
        inside.broadcast(&mut first, 0)?;
        let mut places = vec![0; 2 * world.size() as usize];
        world.allgather(&[first[0], inside.size()], &mut places)?;
        // All ranks see the same places, so all come to the same.
        if !are_subtrees(&places) {
            return Ok(None);
        }
        let across = world.split(Some(inside.rank()), world.rank())?;
        Ok(across.map(|across| Self { inside, across }))
    }

    /// As [`sum_on`] all ranks.
    pub(crate) fn sum(&self, values: &mut Vec<f32>) -> ferrompi::Result<()> {
        let (len, count) = (values.len(), self.inside.size() as usize);
        let part = len.div_ceil(count);
        values.resize(part * count, 0.0);
        let mut parts = vec![0.0; part * count];
        self.inside.alltoall(values, &mut parts)?;
        sum_blocks(&mut parts, part);
        parts.truncate(part);
        sum_on(&self.across, &mut parts)?;
        self.inside.allgather(&parts, values)?;
        values.truncate(len);
        Ok(())
    }

    /// As [`sum_parts_on`] all ranks: first those of a machine sum what is for ranks at their place of any machine.
    pub(crate) fn sum_parts(&self, values: &[f32], parts: &[usize]) -> ferrompi::Result<Vec<f32>> {
        let (order, inside) = self.by_place(parts);
        let begins = begins(parts);
        let mut ordered = Vec::with_capacity(values.len());
        for rank in order {
            ordered.extend_from_slice(&values[begins[rank]..begins[rank] + parts[rank]]);
        }
        let sums = sum_parts_on(&self.inside, &ordered, &inside)?;
        sum_parts_on(&self.across, &sums, &self.of_my_place(parts))
    }

    /// As [`gather_parts_on`] all ranks: each part comes to a machine once.
    pub(crate) fn gather_parts(&self, mine: &[f32], parts: &[usize]) -> ferrompi::Result<Vec<f32>> {
        let across = gather_parts_on(&self.across, mine, &self.of_my_place(parts))?;
        let (order, inside) = self.by_place(parts);
        let ordered = gather_parts_on(&self.inside, &across, &inside)?;
        let begins = begins(parts);
        let mut values = vec![0.0; ordered.len()];
        let mut rest = ordered.as_slice();
        for rank in order {
            let (now, later) = rest.split_at(parts[rank]);
            values[begins[rank]..begins[rank] + parts[rank]].copy_from_slice(now);
            rest = later;
        }
        Ok(values)
    }

    /// All ranks, those with the same place in their machines behind one another, and how many numbers all ranks of a place have.
    fn by_place(&self, parts: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let count = self.inside.size() as usize;
        let of = |place: usize| (place..parts.len()).step_by(count);
        let numbers = |place| of(place).map(|rank| parts[rank]).sum();
        ((0..count).flat_map(of).collect(), (0..count).map(numbers).collect())
    }

    fn of_my_place(&self, parts: &[usize]) -> Vec<usize> {
        let mine = parts.iter().skip(self.inside.rank() as usize);
        mine.step_by(self.inside.size() as usize).copied().collect()
    }
}

/// Where each part begins.
fn begins(parts: &[usize]) -> Vec<usize> {
    let mut end = 0;
    let begin = |len: &usize| {
        end += len;
        end - len
    };
    parts.iter().map(begin).collect()
}

/// `places` has for each rank the first rank of its machine and the number of those there.
fn are_subtrees(places: &[i32]) -> bool {
    let (places, _) = places.as_chunks::<2>();
    let count = places.first().map_or(0, |[_, count]| *count);
    let in_order = |(rank, [first, of]): (usize, &[i32; 2])| *of == count && *first == rank as i32 / count * count;
    count > 1
        && (count as u32).is_power_of_two()
        && (count as usize) < places.len()
        && places.iter().enumerate().all(in_order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_used_where_their_ranks_are_subtrees() {
        let machines = |of: &[i32]| {
            let count = |first: &i32| of.iter().filter(|other| *other == first).count() as i32;
            let places: Vec<i32> = of.iter().flat_map(|first| [*first, count(first)]).collect();
            are_subtrees(&places)
        };
        assert!(machines(&[0, 0, 2, 2]));
        assert!(machines(&[0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8]));
        // One machine, one rank each, dealt out like cards, three each, and unequal ones.
        assert!(!machines(&[0, 0, 0, 0]));
        assert!(!machines(&[0, 1, 2, 3]));
        assert!(!machines(&[0, 1, 0, 1]));
        assert!(!machines(&[0, 0, 0, 3, 3, 3]));
        assert!(!machines(&[0, 0, 2, 2, 4]));
        assert!(!machines(&[]));
    }
}
