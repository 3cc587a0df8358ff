//! The dictionary of streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use vigia_core::admission::DropReason;
use vigia_core::id::StreamRef;
use vigia_engine::registry::{AddError, Entry, Registry};
use vigia_engine::stream::{Feed, Stream};
use vigia_engine::worker::Worker;
use vigia_testkit::live::{Heard, means};
use vigia_testkit::{Gate, boxes_by_frame};

use crate::support::{Awaited, dropped, fifo, pipeline, push_picture, start_with};

/// How often which end was asked for, of all entries of a test.
#[derive(Debug, Default)]
struct Asked {
    stop: AtomicUsize,
    discard: AtomicUsize,
    join: AtomicUsize,
}

impl Asked {
    /// Stops, discards, joins.
    fn counts(&self) -> [usize; 3] {
        [&self.stop, &self.discard, &self.join].map(|count| count.load(Ordering::SeqCst))
    }
}

/// Something in the dictionary whose end waits for the hold, which a test may take.
#[derive(Debug)]
struct Fake {
    stream: StreamRef,
    asked: Arc<Asked>,
    hold: Arc<Mutex<()>>,
}

impl Entry for Fake {
    fn stop(&self) {
        self.asked.stop.fetch_add(1, Ordering::SeqCst);
    }

    fn discard(&self) {
        self.asked.discard.fetch_add(1, Ordering::SeqCst);
    }

    fn join(&self) {
        drop(self.hold.lock());
        self.asked.join.fetch_add(1, Ordering::SeqCst);
    }
}

/// A dictionary of fakes.
struct Desk {
    registry: Registry<Fake>,
    asked: Arc<Asked>,
    hold: Arc<Mutex<()>>,
}

impl Desk {
    fn new(limit: usize) -> Self {
        let registry = Registry::new(limit).expect("a thread");
        Self { registry, asked: Arc::default(), hold: Arc::default() }
    }

    fn fake(&self, stream: &StreamRef) -> Arc<Fake> {
        Arc::new(Fake { stream: stream.clone(), asked: self.asked.clone(), hold: self.hold.clone() })
    }

    /// Its generation.
    fn add(&self, id: &str) -> Result<u64, AddError> {
        let reservation = self.registry.reserve(id)?;
        let entry = self.fake(reservation.stream());
        reservation.fill(&entry);
        Ok(entry.stream.generation)
    }
}

#[test]
fn an_id_is_in_use_from_its_reservation_until_it_is_taken_out() {
    let desk = Desk::new(8);
    let reservation = desk.registry.reserve("door").expect("free");
    assert_eq!(desk.add("door"), Err(AddError::InUse("door".into())));
    assert!(desk.registry.get("door").is_none() && desk.registry.list().is_empty());
    let entry = desk.fake(reservation.stream());
    reservation.fill(&entry);
    assert_eq!(desk.add("door"), Err(AddError::InUse("door".into())));
    assert_eq!(desk.registry.get("door").map(|e| e.stream.clone()), Some(entry.stream.clone()));
    let hold = desk.hold.lock();
    assert!(desk.registry.remove("door").is_some() && desk.registry.remove("door").is_none());
    // Whatever the old one still has to do.
    assert!(desk.add("door").expect("free") > entry.stream.generation);
    drop(hold);
}

#[test]
fn a_reservation_that_comes_to_nothing_gives_its_id_back() {
    let desk = Desk::new(1);
    drop(desk.registry.reserve("door").expect("free"));
    assert!(desk.add("yard").is_ok());
}

#[test]
fn generations_go_on_above_those_of_an_earlier_run() {
    let registry = Registry::<Fake>::after(2, 41).expect("a thread");
    let generation = |id: &str| registry.reserve(id).map(|reserved| reserved.stream().generation);
    assert_eq!((generation("a"), generation("b")), (Ok(42), Ok(43)));
}

#[test]
fn all_are_listed_in_the_order_of_their_ids() {
    let desk = Desk::new(8);
    for id in ["yard", "door", "attic"] {
        desk.add(id).expect("free");
    }
    let ids: Vec<String> = desk.registry.list().iter().map(|e| e.stream.id.to_string()).collect();
    assert_eq!(ids, ["attic", "door", "yard"]);
}

#[test]
fn the_limit_counts_those_that_are_still_ending() {
    let desk = Desk::new(2);
    desk.add("door").expect("free");
    desk.add("yard").expect("free");
    assert_eq!(desk.add("attic"), Err(AddError::Full(2)));
    let hold = desk.hold.lock();
    desk.registry.remove("door").expect("it is there");
    desk.registry.remove("yard").expect("it is there");
    assert_eq!(desk.add("attic"), Err(AddError::Full(2)));
    assert_eq!(desk.asked.counts(), [0, 2, 0]);
    drop(hold);
    while desk.add("attic").is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn an_old_life_cannot_take_out_a_new_one() {
    let desk = Desk::new(8);
    desk.add("door").expect("free");
    let (remover, old) = (desk.registry.remover(), desk.registry.get("door").expect("it is there"));
    assert!(remover.remove(&old.stream).is_some());
    let new = desk.add("door").expect("free");
    assert!(remover.remove(&old.stream).is_none());
    assert_eq!(desk.registry.get("door").map(|e| e.stream.generation), Some(new));
}

#[test]
fn what_is_taken_out_before_it_is_in_ends_and_harms_no_later_life() {
    let desk = Desk::new(8);
    let first = desk.registry.reserve("door").expect("free");
    assert!(desk.registry.remove("door").is_none(), "there is nothing to give back yet");
    let second = desk.registry.reserve("door").expect("free again");
    let third = {
        assert!(desk.registry.remove("door").is_none());
        desk.registry.reserve("door").expect("free again")
    };
    let (first_entry, third_entry) = (desk.fake(first.stream()), desk.fake(third.stream()));
    first.fill(&first_entry);
    assert!(desk.registry.get("door").is_none());
    assert_eq!(desk.asked.counts()[1], 1, "the first one was asked to end");
    drop(second);
    third.fill(&third_entry);
    assert_eq!(desk.registry.get("door").map(|e| e.stream.clone()), Some(third_entry.stream.clone()));
    let Desk { registry, asked, .. } = desk;
    drop(registry);
    assert_eq!(asked.counts(), [1, 1, 2]);
}

#[test]
fn a_closing_dictionary_takes_nothing_and_asks_all_to_stop() {
    let desk = Desk::new(8);
    desk.add("door").expect("free");
    let late = desk.registry.reserve("yard").expect("free");
    desk.registry.close();
    assert_eq!(desk.add("attic"), Err(AddError::Closing));
    assert_eq!(desk.asked.counts(), [1, 0, 0]);
    // What was being started is asked as soon as it is in.
    let entry = desk.fake(late.stream());
    late.fill(&entry);
    assert_eq!(desk.asked.counts(), [2, 0, 0]);
    assert_eq!(desk.registry.list().len(), 2);
}

#[test]
fn dropping_the_dictionary_ends_and_joins_everything() {
    let desk = Desk::new(8);
    for id in ["door", "yard", "attic"] {
        desk.add(id).expect("free");
    }
    desk.registry.remove("yard").expect("it is there");
    let Desk { registry, asked, .. } = desk;
    drop(registry);
    assert_eq!(asked.counts(), [2, 1, 3]);
}

#[test]
fn many_who_add_and_take_out_the_same_ids_leave_nothing_behind() {
    const IDS: [&str; 3] = ["attic", "door", "yard"];
    let desk = Arc::new(Desk::new(64));
    let added = Arc::new(AtomicUsize::new(0));
    let work = |seed: usize| {
        let (desk, added) = (desk.clone(), added.clone());
        move |_stop: &_| {
            for n in 0..300 {
                let id = IDS[(seed + n * (seed + 1)) % IDS.len()];
                match n % 4 {
                    0 | 1 => match desk.add(id) {
                        Ok(_generation) => drop(added.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert!(matches!(error, AddError::InUse(_) | AddError::Full(_)), "{error}"),
                    },
                    2 => drop(desk.registry.remove(id)),
                    _ => assert!(desk.registry.list().is_sorted_by_key(|entry| entry.stream.id.clone())),
                }
            }
        }
    };
    let workers: Vec<Worker> = (0..4).map(|n| Worker::start("adder", work(n)).expect("a thread")).collect();
    workers.into_iter().for_each(Worker::join);
    let desk = Arc::into_inner(desk).expect("all others are gone");
    let left = desk.registry.list().len();
    let Desk { registry, asked, .. } = desk;
    drop(registry);
    let (added, [stopped, discarded, joined]) = (added.load(Ordering::SeqCst), asked.counts());
    assert_eq!((stopped, discarded + left, joined), (left, added, added));
}

/// A stream in the dictionary, and what it told.
struct Listed {
    stream: Stream,
    heard: Mutex<Heard>,
}

impl Entry for Listed {
    fn stop(&self) {
        self.stream.stop();
    }

    fn discard(&self) {
        self.stream.discard();
    }

    fn join(&self) {
        self.stream.join();
    }
}

#[test]
fn an_id_that_is_added_again_never_gets_results_of_its_earlier_life() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let pipeline = pipeline(script);
    let registry = Registry::new(8).expect("a thread");
    let add = || {
        let reservation = registry.reserve("door").expect("free");
        let id = reservation.stream().clone();
        let (stream, heard) = start_with(id, pipeline.clone(), fifo(8), Feed::Pushed, means());
        let entry = Arc::new(Listed { stream, heard: Mutex::new(heard) });
        reservation.fill(&entry);
        entry
    };
    let old = add();
    let in_flight = push_picture(&old.stream, b"picture");
    gate.wait_for_batch();
    // Three of these are decoded and will run, two wait.
    let mut others: Vec<Awaited> = (0..5).map(|_| push_picture(&old.stream, b"picture")).collect();
    registry.remove("door").expect("it is there");
    let new = add();
    let awaited = [(); 3].map(|()| push_picture(&new.stream, b"picture"));
    drop(gate);
    for (n, awaited) in awaited.into_iter().enumerate() {
        let told = awaited.outcome().expect("a result");
        let published = new.heard.lock().results.recv().expect("a result");
        for result in [told, published] {
            assert_eq!((result.frame.frame_id, &result.frame.stream), (n as u64, new.stream.id()));
        }
    }
    assert_eq!(in_flight.outcome().expect("a result").frame.stream, *old.stream.id());
    let ended = others.split_off(3);
    assert!(others.into_iter().all(|awaited| awaited.outcome().is_ok()));
    assert!(ended.into_iter().all(|awaited| awaited.outcome().is_err()));
    assert_eq!(dropped(&old.stream.status(), DropReason::Shutdown), 2);
    assert_eq!((new.stream.status().received, new.stream.status().inferred), (3, 3));
    drop(registry);
    assert!(new.heard.lock().results.iter().next().is_none(), "nothing else came");
}
