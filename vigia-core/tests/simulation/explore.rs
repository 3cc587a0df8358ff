use crate::sim::*;

fn show(name: &str, machine: Machine, senders: &[Sender]) {
    let t = simulate(7, machine, senders, 20);
    let demand: f64 = senders.iter().map(|s| s.per_second).sum();
    println!("--- {name}: demand {demand:.0}/s, capacity {:.0}/s", machine.capacity());
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (i, s) in senders.iter().enumerate() {
        let key = format!("{:.0}fps {:?} {:?}", s.per_second, s.form, s.live.map(|l| (l.0.mode, l.0.frames, l.1)));
        match groups.iter_mut().find(|g| g.0 == key) { Some(g) => g.1.push(i), None => groups.push((key, vec![i])) }
    }
    for (key, members) in groups {
        let inf: Vec<f64> = members.iter().map(|&i| t[i].inferred() as f64 / 20.0).collect();
        let (min, max) = inf.iter().fold((f64::MAX, 0f64), |(a, b), &x| (a.min(x), b.max(x)));
        let mean = inf.iter().sum::<f64>() / inf.len() as f64;
        let mut drops = std::collections::BTreeMap::<&str, usize>::new();
        for &i in &members { for (r, n) in &t[i].dropped { *drops.entry(r).or_default() += n; } }
        let refused: usize = members.iter().map(|&i| t[i].refused).sum();
        println!("{:3} x {key}: per second {min:.2}..{max:.2} mean {mean:.2}; p99 {:?}; drops {drops:?} refused {refused}", members.len(),
            if mean > 0.0 { Some(p99(members.iter().map(|&i| &t[i]))) } else { None });
    }
}

#[test]
fn explore() {
    let cams = |n: usize, fps, lat| vec![Sender::camera(fps, lat); n];
    let cat = |a: Vec<Sender>, b: Vec<Sender>| [a, b].concat();
    show("half", Machine::single(2, 8.0), &cams(4, 30.0, 200));
    show("mild 1.2", Machine::single(2, 8.0), &cams(10, 30.0, 200));
    show("2x", Machine::single(2, 8.0), &cams(16, 30.0, 200));
    show("2x edge: 100 at 5 fps, 150 ms", Machine::single(2, 8.0), &cams(100, 5.0, 150));
    show("2x edge 1 slot", Machine::single(1, 8.0), &cams(50, 5.0, 150));
    show("4x edge", Machine::single(2, 8.0), &cams(200, 5.0, 150));
    show("mixed latency 2x", Machine::single(2, 8.0), &cat(cams(8, 30.0, 60), cams(8, 30.0, 500)));
    show("mixed latency 1.2x", Machine::single(2, 8.0), &cat(cams(5, 30.0, 60), cams(5, 30.0, 500)));
    show("1 fps among 30", Machine::single(2, 8.0), &cat(cams(30, 30.0, 200), cams(10, 1.0, 200)));
    show("1 fps among 30, round > latency", Machine::single(1, 10.0), &cat(cams(40, 30.0, 200), cams(10, 1.0, 200)));
    show("greedy", Machine::single(2, 8.0), &cat(cams(15, 30.0, 200), cams(1, 300.0, 200)));
    show("fifo 100", Machine::single(2, 8.0), &cat(cams(15, 30.0, 200), vec![Sender::camera(30.0, 200).fifo(100)]));
    show("fifo 100 long", Machine::single(2, 8.0), &cat(cams(15, 30.0, 200), vec![Sender::camera(30.0, 20000).fifo(100)]));
    show("posts beside overload", Machine::single(2, 8.0), &cat(cams(16, 30.0, 200), vec![Sender::posts(5.0); 4]));
    show("flood", Machine::single(2, 8.0), &cat(cams(16, 30.0, 200), vec![Sender::posts(50.0); 20]));
    let gpu = Machine { max_batch: 8, batch: std::time::Duration::from_millis(10), each: std::time::Duration::from_millis(2), ..Machine::single(1, 0.0) };
    show("batch 8 2x", gpu, &cams(20, 30.0, 200));
    show("batch 8 half", gpu, &cams(5, 30.0, 200));
    show("encoded 2x", Machine::single(2, 8.0), &vec![Sender::camera(30.0, 200).encoded(); 16]);
    show("encoded edge", Machine::single(2, 8.0), &vec![Sender::camera(5.0, 150).encoded(); 100]);
    show("encoded mixed 2x", Machine::single(2, 8.0), &cat(cams(8, 30.0, 200), vec![Sender::camera(30.0, 200).encoded(); 8]));
    show("encoded mixed batch 8", gpu, &cat(cams(10, 30.0, 200), vec![Sender::camera(30.0, 200).encoded(); 10]));
    let slow = Machine::single(1, 300.0);
    show("slow model", slow, &cams(2, 30.0, 200));
    show("slow model encoded", slow, &vec![Sender::camera(30.0, 200).encoded(); 2]);
    show("slow model 10 streams", slow, &cams(10, 30.0, 200));
    show("slow model fifo", slow, &vec![Sender::camera(30.0, 200).fifo(10); 2]);
}
