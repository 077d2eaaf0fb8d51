//! Independent runs side by side: the results do not depend on how many threads there are.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::ProgressBar;

use crate::lab::progress;

/// What `run` makes of each of so many seeds from `first` on, while a bar counts them.
pub(super) fn of_seeds<R: Send>(first: u64, count: u64, run: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let bar = progress::bar(count, "runs");
    let seeds: Vec<u64> = (0..count).map(|number| first.wrapping_add(number)).collect();
    let results = map(&seeds, None, &bar, |&seed| run(seed));
    bar.finish_and_clear();
    results
}

/// What `run` makes of each job, in the order of the jobs. `threads` at once; all cores where none is given.
///
/// # Panics
///
/// Where a run does.
pub(super) fn map<J: Sync, R: Send>(
    jobs: &[J],
    threads: Option<usize>,
    bar: &ProgressBar,
    run: impl Fn(&J) -> R + Sync,
) -> Vec<R> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, job)) = jobs.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run(job);
                    results.lock().expect("no run panicked")[index] = Some(result);
                    bar.inc(1);
                }
            });
        }
    });
    let results = results.into_inner().expect("no run panicked");
    results.into_iter().map(|result| result.expect("every job was run")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_jobs() {
        let jobs: Vec<u64> = (0..100).collect();
        let bar = ProgressBar::hidden();
        let squares = |threads| map(&jobs, Some(threads), &bar, |job| job * job);
        assert_eq!(squares(1), squares(4));
        assert_eq!((squares(4)[99], bar.position()), (9_801, 300));
    }
}
