//! [`PowerOfTwo`]: the less loaded of two random endpoints. The draw, and the two ways to compare.
//!
//! Source: M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS
//! 12(10), 2001. The two draws are *distinct*, and health counts before load, as in Finagle. With
//! replacement, a hanging endpoint would still get 1/n² of the picks.
//!
//! The usual path reads two loads and has no loop. Everything unusual (an excluded draw, two
//! unhealthy ones) goes to `scan`.

use std::hint::select_unpredictable;
use std::sync::Arc;
use std::time::Duration;

use crate::{Latency, Load, Timestamp};

use super::random::RandomPicker;
use super::{Candidate, PickArgs, Picker, Policy, below, loads_of, mix, scaled, scan};

/// Draws two endpoints and takes the less loaded one. This is the right choice for almost
/// everything.
///
/// The load is the number of requests in flight ([`PowerOfTwo::default`]), or that number times the
/// latency ([`PowerOfTwo::latency`]). One more draw than [`Random`](super::Random) shrinks the
/// longest queue from O(log n) to O(log log n). Unlike [`LeastLoaded`](super::LeastLoaded), the
/// cost does not depend on n, and clients do not herd.
///
/// * **In flight** needs no clock and adapts at once. It tells little if a client has less than one
///   request in flight per endpoint: then it is a random choice.
/// * **Latency** remembers what the counts forget, so it finds the slow endpoint even with few
///   requests. Do not use it for streams, long polls or requests of very different cost: their
///   duration says nothing about the endpoint.
///
/// # How latencies are compared
///
/// The load is `latency × (in flight + 1)`, and the smaller one wins. A [`Latency`] is a
/// peak-sensitive moving mean. Its weight `w` is 1 when fresh and falls to `1/e` after the window.
/// Of two figures, the **older** one fades towards the **younger** one:
///
/// ```text
/// older := w · older + (1 − w) · younger
/// ```
///
/// The requests in flight alone decide in three cases: an endpoint has no figure, `w` is below 0.05
/// (the figure is three windows old), or the two differ by less than one eighth after fading. If
/// they are equal, too, the draw decides.
///
/// This is Finagle's Peak-EWMA, which tower and linkerd have as well, without these flaws:
///
/// * There a figure decays towards *zero*, so an idle slow endpoint looks free: a tenfold latency
///   is forgotten after 2.3 windows, and then all requests go there at once. Here the figure fades
///   towards that of the other endpoint. Single requests measure it again, and it never looks
///   better than it was.
/// * There a fast failure makes an endpoint look fast, so it attracts requests: twice its share of
///   ten, in a simulation. Here a failed or cancelled attempt can only raise the figure
///   ([`Load::observe`]). Its queue is still always empty, which attracts 1.4 times its share, with
///   latency or without.
/// * There an endpoint without a figure is either free or infinitely expensive. Here it counts like
///   the one that it is compared with: a new endpoint gets no more requests in flight than the
///   others.
/// * There a caller that sends one request after the other sends all of them to the fastest
///   endpoint, however small the difference. Here small differences are ignored.
/// * There a reader writes, under a lock. Here a pick only reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerOfTwo {
    /// `None` compares by requests in flight alone.
    window: Option<Duration>,
}

impl PowerOfTwo {
    /// Returns a policy that compares by latency and requests in flight, with a window of 10
    /// seconds.
    ///
    /// Finagle and linkerd use ten seconds, too. That is longer than a pause for garbage
    /// collection, so one pause does not erase the history; and it is shorter than a rolling
    /// update, so an endpoint is compared by what it is now.
    #[must_use]
    pub const fn latency() -> Self {
        Self::latency_over(Duration::from_secs(10))
    }

    /// Returns a policy that compares by latency and requests in flight; `window` is the time
    /// constant with which latencies are remembered.
    ///
    /// It should be longer than the usual pause between two requests to the same endpoint:
    /// otherwise nothing is remembered.
    #[must_use]
    pub const fn latency_over(window: Duration) -> Self {
        Self { window: Some(window) }
    }
}

impl Policy for PowerOfTwo {
    fn prepare(&mut self, candidates: &[Candidate], _entropy: u64) -> Box<dyn Picker> {
        let loads = loads_of(candidates);
        match self.window {
            // With fewer than two there is nothing to compare, and no pick has to check how many
            // there are.
            _ if loads.len() < 2 => Box::new(RandomPicker { loads }),
            None => Box::new(ByInFlight { loads }),
            Some(window) => Box::new(ByLatency { loads, window }),
        }
    }

    fn latency_window(&self) -> Option<Duration> {
        self.window
    }
}

#[derive(Debug)]
struct ByInFlight {
    loads: Box<[Arc<Load>]>,
}

impl Picker for ByInFlight {
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
        better_of_two(&self.loads, args, |first, second| second.cost() < first.cost())
    }
}

#[derive(Debug)]
struct ByLatency {
    loads: Box<[Arc<Load>]>,
    window: Duration,
}

impl Picker for ByLatency {
    fn pick(&self, args: &PickArgs<'_>) -> Option<usize> {
        better_of_two(&self.loads, args, |first, second| {
            self.is_second_better(first, second, args.now)
        })
    }
}

impl ByLatency {
    fn is_second_better(&self, first: &Load, second: &Load, now: Timestamp) -> bool {
        let fewer_in_flight = second.cost() < first.cost();
        if first.is_unhealthy() || second.is_unhealthy() {
            return fewer_in_flight; // The cost puts health first.
        }
        match self.latencies(first, second, now) {
            Some((a, b)) => b * queue(second) < a * queue(first),
            None => fewer_in_flight,
        }
    }

    /// Returns the two figures in seconds, the older faded towards the younger; or `None` if they
    /// do not tell the two apart.
    fn latencies(&self, first: &Load, second: &Load, now: Timestamp) -> Option<(f32, f32)> {
        let (first, second) = (first.latency()?, second.latency()?);
        let weight = |latency: &Latency| latency.freshness(now, self.window);
        let (w_first, w_second) = (weight(&first), weight(&second));
        if w_first.min(w_second) < FORGOTTEN {
            return None;
        }
        let (a, b) = (first.seconds(), second.seconds());
        // WHY: only one of them fades. If each took over the other's figure, then after an idle
        // time, when both are old, they would change places: a′ − b′ = (w_a + w_b − 1)(a − b).
        let (a, b) = if w_first < w_second {
            (b + w_first * (a - b), b)
        } else {
            (a, a + w_second * (b - a))
        };
        ((a - b).abs() > a.max(b) * TOLERANCE).then_some((a, b))
    }
}

/// Returns the requests in flight, including the one to be sent.
fn queue(load: &Load) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 16 million requests in flight")]
    let in_flight = load.in_flight() as f32;
    in_flight + 1.0
}

#[inline]
fn better_of_two(
    loads: &[Arc<Load>],
    args: &PickArgs<'_>,
    is_second_better: impl FnOnce(&Load, &Load) -> bool,
) -> Option<usize> {
    let drawn = two_of(args.entropy, loads.len());
    match args.excluded.is_empty() {
        true => compare(loads, args, drawn, is_second_better),
        false => compare_not_excluded(loads, args, drawn, is_second_better),
    }
}

/// Out of line, so that a first attempt does not pay for what only a retry needs.
#[cold]
#[inline(never)]
fn compare_not_excluded(
    loads: &[Arc<Load>],
    args: &PickArgs<'_>,
    drawn: (usize, usize),
    is_second_better: impl FnOnce(&Load, &Load) -> bool,
) -> Option<usize> {
    if args.excluded.contains(drawn.0) || args.excluded.contains(drawn.1) {
        return scan(loads, args, Load::cost);
    }
    compare(loads, args, drawn, is_second_better)
}

#[inline]
fn compare(
    loads: &[Arc<Load>],
    args: &PickArgs<'_>,
    (first, second): (usize, usize),
    is_second_better: impl FnOnce(&Load, &Load) -> bool,
) -> Option<usize> {
    let (first, second) = ((first, &*loads[first]), (second, &*loads[second]));
    // Which of two random endpoints is better cannot be predicted, and a mispredicted branch costs
    // more than all the rest.
    let (better, load) = select_unpredictable(is_second_better(first.1, second.1), second, first);
    if load.is_unhealthy() {
        draw_again(loads, args)
    } else {
        Some(better)
    }
}

/// Both are unhealthy. If most endpoints are healthy, another draw soon finds one; the scan is for
/// the case that most are not.
#[cold]
#[inline(never)]
fn draw_again(loads: &[Arc<Load>], args: &PickArgs<'_>) -> Option<usize> {
    let mut entropy = args.entropy;
    for _ in 0..MORE_DRAWS {
        entropy = mix(entropy.wrapping_add(GOLDEN));
        let drawn = below(entropy, loads.len())?;
        if !loads[drawn].is_unhealthy() && !args.excluded.contains(drawn) {
            return Some(drawn);
        }
    }
    scan(loads, args, Load::cost)
}

/// Returns two distinct numbers in `0..n`, each ordered pair equally likely. `n` is at least 2.
#[inline]
fn two_of(entropy: u64, n: usize) -> (usize, usize) {
    let first = scaled(entropy, n);
    let second = scaled(entropy << 32, n - 1);
    (first, second + usize::from(second >= first))
}

/// The number of further draws. If half of the endpoints are unhealthy, one pick in 64 needs the
/// scan.
const MORE_DRAWS: usize = 4;

/// The step of SplitMix64, whose output function is [`mix`].
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Figures that differ by less than this share of the larger one are equal.
///
/// It is larger than the usual noise of a mean: otherwise a caller without concurrency would never
/// use the endpoint that is slower by chance. It is smaller than any difference that matters.
const TOLERANCE: f32 = 0.125;

/// A figure with less weight than this is ignored: e^-3, three windows old. So each endpoint is
/// measured again at some time.
const FORGOTTEN: f32 = 0.05;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cmp::Reverse;
    use std::collections::{BinaryHeap, VecDeque};

    use super::super::conformance::{self, Entropy, pods};
    use super::*;
    use crate::policy::Excluded;
    use crate::{InFlight, Outcome, Route};

    const WINDOW: Duration = Duration::from_secs(10);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn secs(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    /// Returns the middle of each cell of a grid on which each draw of two out of `n` is hit
    /// equally often.
    fn grid(n: u64) -> impl Iterator<Item = u64> {
        let cells = n * (n - 1);
        let middle = move |cell| ((2 * cell + 1) << 31) / cells;
        (0..cells).flat_map(move |upper| (0..cells).map(move |lower| (middle(upper) << 32) | middle(lower)))
    }

    /// Simulates a caller that waits for each answer before the next request; returns the requests
    /// per endpoint.
    fn sequential(
        policy: &mut PowerOfTwo,
        set: &[Candidate],
        from: Timestamp,
        requests: usize,
        mut serve: impl FnMut(usize) -> (Duration, Outcome),
    ) -> Vec<usize> {
        let picker = policy.prepare(set, 0);
        let mut random = Entropy::new(6);
        let mut counts = vec![0; set.len()];
        let mut now = from;
        for _ in 0..requests {
            let args = PickArgs::new(Route::any(), random.next()).at(now);
            let index = picker.pick(&args).expect("all are fit");
            let request = InFlight::begin(Arc::clone(&set[index].load));
            let (elapsed, outcome) = serve(index);
            now = now + elapsed;
            request.on().observe(elapsed, outcome, now, WINDOW);
            counts[index] += 1;
        }
        counts
    }

    #[test]
    fn obeys_the_laws() {
        conformance::check(PowerOfTwo::default);
        conformance::check(PowerOfTwo::latency);
        conformance::check(|| PowerOfTwo::latency_over(ms(1)));
    }

    #[test]
    fn only_latency_needs_a_clock() {
        assert_eq!(PowerOfTwo::default().latency_window(), None);
        assert_eq!(Policy::latency_window(&PowerOfTwo::latency()), Some(WINDOW));
    }

    #[test]
    fn draws_are_distinct_and_each_pair_is_equally_likely() {
        for n in 2..=9 {
            let mut counts = vec![vec![0; n]; n];
            for entropy in grid(n as u64) {
                let (first, second) = two_of(entropy, n);
                counts[first][second] += 1;
            }
            for (first, row) in counts.iter().enumerate() {
                for (second, &count) in row.iter().enumerate() {
                    assert_eq!(
                        count,
                        if first == second { 0 } else { n * (n - 1) },
                        "({first}, {second}) of {n}"
                    );
                }
            }
        }
    }

    #[test]
    fn shares_follow_the_rank_of_the_load() {
        let set = pods(6);
        let _busy: Vec<_> = (0..6)
            .flat_map(|pod| std::iter::repeat_n(pod, pod))
            .map(|pod| InFlight::begin(Arc::clone(&set[pod].load)))
            .collect();
        let picker = PowerOfTwo::default().prepare(&set, 0);
        let mut counts = [0; 6];
        for entropy in grid(6) {
            counts[picker.pick(&PickArgs::new(Route::any(), entropy)).unwrap()] += 1;
        }
        // Endpoint k wins against the 5 − k busier ones, in either order; each pair is drawn 30
        // times.
        assert_eq!(counts, [300, 240, 180, 120, 60, 0]);
    }

    #[test]
    fn equals_get_equal_shares() {
        for mut policy in [PowerOfTwo::default(), PowerOfTwo::latency()] {
            let picker = policy.prepare(&pods(5), 0);
            let mut counts = [0; 5];
            for entropy in grid(5) {
                counts[picker.pick(&PickArgs::new(Route::any(), entropy)).unwrap()] += 1;
            }
            assert_eq!(counts, [80; 5]);
        }
    }

    #[test]
    fn one_and_two_endpoints() {
        for mut policy in [PowerOfTwo::default(), PowerOfTwo::latency()] {
            let set = pods(2);
            let alone = policy.prepare(&set[..1], 0);
            let both = policy.prepare(&set, 0);
            let _busy = InFlight::begin(Arc::clone(&set[0].load));
            let mut random = Entropy::new(7);
            for _ in 0..100 {
                let args = PickArgs::new(Route::any(), random.next());
                assert_eq!(alone.pick(&args), Some(0));
                assert_eq!(both.pick(&args), Some(1), "both are drawn, so the idle one wins always");
                assert_eq!(both.pick(&args.excluding(Excluded::of(&[1]))), Some(0));
                assert_eq!(both.pick(&args.excluding(Excluded::of(&[1, 0]))), None);
                assert_eq!(alone.pick(&args.excluding(Excluded::of(&[0]))), None);
            }
        }
    }

    #[test]
    fn a_slow_pod_gets_less() {
        let set = pods(5);
        let counts = sequential(&mut PowerOfTwo::latency(), &set, secs(0), 5000, |pod| {
            (if pod == 0 { ms(50) } else { ms(10) }, Outcome::Success)
        });
        assert!((1..50).contains(&counts[0]), "{counts:?}");
        assert!(
            counts[1..].iter().all(|count| (1000..1500).contains(count)),
            "the others share evenly: {counts:?}"
        );
    }

    #[test]
    fn concurrency_makes_up_for_latency() {
        let set = pods(2);
        set[0].load.observe(ms(10), Outcome::Success, secs(0), WINDOW);
        set[1].load.observe(ms(40), Outcome::Success, secs(0), WINDOW);
        let picker = PowerOfTwo::latency().prepare(&set, 0);
        let mut random = Entropy::new(8);
        let mut held = Vec::new();
        for _ in 0..50 {
            let index = picker.pick(&PickArgs::new(Route::any(), random.next())).unwrap();
            held.push(InFlight::begin(Arc::clone(&set[index].load)));
        }
        assert_eq!(
            [0, 1].map(|pod: usize| set[pod].load.in_flight()),
            [40, 10],
            "one to four"
        );
    }

    #[test]
    fn failing_fast_attracts_no_requests() {
        let set = pods(5);
        let mut policy = PowerOfTwo::latency();
        sequential(&mut policy, &set, secs(0), 200, |_| (ms(10), Outcome::Success));
        let counts = sequential(&mut policy, &set, secs(10), 5000, |pod| {
            if pod == 0 {
                (Duration::from_micros(100), Outcome::Failure)
            } else {
                (ms(10), Outcome::Success)
            }
        });
        assert!(counts[0] <= 1100, "at most the even share of 1000: {counts:?}");
    }

    #[test]
    fn an_idle_slow_pod_is_asked_again_but_is_never_free() {
        let set = pods(2);
        let counts = sequential(&mut PowerOfTwo::latency(), &set, secs(0), 30_000, |pod| {
            (if pod == 0 { ms(100) } else { ms(10) }, Outcome::Success)
        });
        // 300 seconds: its figure is forgotten after 30, and then one draw in two picks it.
        assert!((5..=15).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn after_an_idle_time_slow_and_fast_do_not_change_places() {
        // The figure that is older by a second loses its weight first. It counts against the slow
        // one until it is within an eighth of it (20 s), otherwise until it is forgotten (30 s).
        for (fast_at, slow_at, none_until, even_from) in [(0, 1, 19, 21), (1, 0, 29, 31)] {
            let set = pods(2);
            set[0].load.observe(ms(10), Outcome::Success, secs(fast_at), WINDOW);
            set[1].load.observe(ms(100), Outcome::Success, secs(slow_at), WINDOW);
            let picker = PowerOfTwo::latency().prepare(&set, 0);
            let mut random = Entropy::new(9);
            for now in 1..100 {
                let slow = (0..1000)
                    .filter(|_| picker.pick(&PickArgs::new(Route::any(), random.next()).at(secs(now))) == Some(1))
                    .count();
                let fits = match now {
                    _ if now <= none_until => slow == 0,
                    _ if now >= even_from => (430..570).contains(&slow),
                    _ => true,
                };
                assert!(fits, "after {now} s: {slow} of 1000");
            }
        }
    }

    #[test]
    fn a_new_pod_is_not_flooded() {
        let set = pods(10);
        for old in &set[1..] {
            old.load.observe(ms(10), Outcome::Success, secs(0), WINDOW);
        }
        let picker = PowerOfTwo::latency().prepare(&set, 0);
        let mut random = Entropy::new(10);
        let mut held = Vec::new();
        for _ in 0..10 * 20 {
            let index = picker.pick(&PickArgs::new(Route::any(), random.next())).unwrap();
            held.push(InFlight::begin(Arc::clone(&set[index].load)));
        }
        let in_flight = set[0].load.in_flight();
        assert!(
            (18..=22).contains(&in_flight),
            "not more and not less than the others: {in_flight} of 200"
        );
    }

    #[test]
    fn almost_equal_pods_share_a_caller_without_concurrency() {
        let set = pods(2);
        let counts = sequential(&mut PowerOfTwo::latency(), &set, secs(0), 10_000, |pod| {
            (
                if pod == 0 {
                    Duration::from_micros(10_500)
                } else {
                    ms(10)
                },
                Outcome::Success,
            )
        });
        assert!(counts.iter().all(|count| (4800..5200).contains(count)), "{counts:?}");
    }

    /// The supermarket model: n queues, arrivals at rate λn, exponential service times with mean 1;
    /// each arrival joins the shorter of two queues. As n grows, the mean time in the system is Σ
    /// λ^(2^i − 2) over i ≥ 1 (Mitzenmacher), which is 2.614 at λ = 0.9. With one choice it would
    /// be 10.
    #[test]
    fn two_choices_do_what_the_paper_says() {
        const N: usize = 500;
        const LAMBDA: f64 = 0.9;
        const WARM_UP: usize = 20_000;
        const MEASURED: usize = 150_000;
        let set = pods(N);
        let picker = PowerOfTwo::default().prepare(&set, 0);
        let mut random = Entropy::new(11);
        let mut exponential = Entropy::new(12);
        let mut exponential =
            move |mean: f64| -mean * (1.0 - exponential.next() as f64 / 2f64.powi(64)).max(1e-18).ln();
        // Times are positive, so their bits are ordered as they are.
        let mut departures = BinaryHeap::new();
        let mut queues: Vec<VecDeque<InFlight<Arc<Load>>>> = (0..N).map(|_| VecDeque::new()).collect();
        let mut free_at = vec![0.0_f64; N];
        let (mut now, mut total) = (0.0_f64, 0.0);
        for arrival in 0..WARM_UP + MEASURED {
            now += exponential(1.0 / (LAMBDA * N as f64));
            while departures
                .peek()
                .is_some_and(|&Reverse((at, _))| f64::from_bits(at) <= now)
            {
                let Reverse((_, server)): Reverse<(u64, usize)> = departures.pop().unwrap();
                queues[server].pop_front();
            }
            let server = picker.pick(&PickArgs::new(Route::any(), random.next())).unwrap();
            free_at[server] = free_at[server].max(now) + exponential(1.0);
            departures.push(Reverse((free_at[server].to_bits(), server)));
            queues[server].push_back(InFlight::begin(Arc::clone(&set[server].load)));
            if arrival >= WARM_UP {
                total += free_at[server] - now;
            }
        }
        let mean = total / MEASURED as f64;
        let expected: f64 = (1..10).map(|i| LAMBDA.powi((1 << i) - 2)).sum();
        assert!((mean / expected - 1.0).abs() < 0.03, "mean {mean}, expected {expected}");
    }
}
