//! Orders: what is asked, what is given, what is said of the answer.

use serde_json::json;

use super::seen::Seen;
use super::story::{Story, run};
use crate::control::{Answer, SlotStatus, Status, Update};
use crate::dashboard::feed::{Answer as Answered, Want};
use crate::dashboard::message::{Effect, Heard, Msg, Screen, Told};
use crate::dashboard::model::update;
use crate::protocol::Progress;
use crate::store::Millis;
use crate::sweep::{Order, SlotId, Stage, TrialId};

fn given(effect: Option<Effect>) -> Order {
    match effect {
        Some(Effect::Give { sweep, order }) if sweep == "contracts" => order,
        other => panic!("no order to the sweep: {other:?}"),
    }
}

impl Seen {
    fn hears(&mut self, order: Order, heard: Heard) -> String {
        update(&mut self.model, Msg::Heard { sweep: "contracts".to_owned(), order, heard });
        self.model.toast.as_ref().map(|toast| toast.text.clone()).unwrap_or_default()
    }
}

#[tokio::test]
async fn an_order_is_given_when_it_is_meant() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    assert_eq!(seen.press("S").await, None);
    assert_eq!(seen.press("n").await, None);
    assert!(seen.model.overlay.is_none());
    assert_eq!(seen.press("K<enter>").await, None, "Enter is no yes");
    assert_eq!(given(seen.press("y").await), Order::Kill);
    assert_eq!(given(seen.press("Py").await), Order::Pause);
    assert_eq!(given(seen.press("Fy").await), Order::Retry { trial: None });
    // of the selected trial, and of the open one
    seen.press("<enter>/trial=3<enter>").await;
    assert_eq!(given(seen.press("Ry").await), Order::Retry { trial: Some(TrialId(3)) });
    assert_eq!(given(seen.press("<enter>Ey").await), Order::Exclude { trial: TrialId(3) });
    assert_eq!(
        given(seen.press("Wit drifts<enter>").await),
        Order::Note { trial: TrialId(3), text: "it drifts".into() }
    );
    assert_eq!(given(seen.press("#3<enter>").await), Order::Slots { count: 3 });
    // and by its words
    assert_eq!(seen.press(":kill the trial<enter>").await, None);
    assert_eq!(given(seen.press("y").await), Order::KillTrial { trial: TrialId(3) });
}

#[tokio::test]
async fn a_point_begins_with_the_selected_trial() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>/trial=2<enter>A").await;
    // a value, a choice, and one that is left to be drawn
    let order = given(seen.press("<c-u>3e-4<down><down><right><down><c-u><enter>").await);
    let point = [
        ("train.learning_rate".to_owned(), json!(3e-4)),
        ("model.aggregator.layers".to_owned(), json!(2)),
        ("model.label_attention".to_owned(), json!("doc")),
    ];
    let order_of = Order::Enqueue { point: point.into_iter().collect(), from: None };
    assert_eq!(order, order_of);
    // it stays until it is done, with the reason why it was not
    let refused = Answer::Refused { why: "it was tried already".to_owned(), hint: None };
    seen.hears(order.clone(), Heard::Answer(refused));
    let (frame, _) = seen.frame(100, 30);
    assert!(frame.contains("it was tried already") && frame.contains("3e-4"), "{frame}");
    let done = Answer::Done { order: String::new(), trial: Some(TrialId(5)), point: None };
    assert_eq!(seen.hears(order, Heard::Answer(done)), "contracts: trial 5 is the next to be tried");
    assert!(seen.model.overlay.is_none());
}

#[tokio::test]
async fn a_value_outside_its_bounds_is_not_sent() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    assert_eq!(seen.press("<enter>A<c-u>5<enter>").await, None);
    let (frame, _) = seen.frame(100, 30);
    assert!(frame.contains("5 is not in 0.00001 to 0.00256 (log)"), "{frame}");
}

#[tokio::test]
async fn a_tag_again_is_a_tag_less() {
    let story = Story::running().await;
    story.remark(&[(2, "tag", "fast")]).await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>/trial=2<enter>").await;
    assert_eq!(given(seen.press("Tslow<enter>").await), Order::Tag { trial: TrialId(2), tag: "slow".into() });
    assert_eq!(given(seen.press("Tfast<enter>").await), Order::Untag { trial: TrialId(2), tag: "fast".into() });
}

#[tokio::test]
async fn what_nobody_runs_is_said_with_what_to_do() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    assert_eq!(seen.press("S").await, None);
    let said = seen.model.toast.clone().expect("it is said");
    assert!(
        said.is_error && said.text.contains("is finished: nothing runs; `sweep run` begins another"),
        "{}",
        said.text
    );
    // a remark is asked for all the same
    seen.press("<enter>E").await;
    assert_eq!(given(seen.press("y").await), Order::Exclude { trial: TrialId(2) });
    let said = seen.hears(Order::Pause, Heard::Nobody);
    assert!(said.contains("`sweep resume contracts`") || said.contains("`sweep run`"), "{said}");
    let refused = Answer::Refused { why: "there is no trial 77".to_owned(), hint: None };
    let said = seen.hears(Order::Exclude { trial: TrialId(77) }, Heard::Answer(refused));
    assert_eq!(said, "contracts: cannot exclude trial 77: there is no trial 77");
}

#[tokio::test]
async fn what_the_coordinator_tells_is_seen() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    assert_eq!(seen.model.listens_to(), None);
    seen.press(&format!("<enter>{}", Screen::Machine.number())).await;
    assert_eq!(seen.model.listens_to(), Some("contracts"));
    let slot = |slot, run| SlotStatus { slot: SlotId(slot), device: format!("cuda:{slot}"), run };
    let status = Status {
        sweep: "contracts".to_owned(),
        state: Stage::Paused,
        wanted_slots: 3,
        slots: vec![slot(0, None), slot(1, Some(run(4, 1))), slot(2, None)],
        waiting: (3..5).map(|fold| run(4, fold)).collect(),
    };
    let progress = Progress { epoch: 2, epochs: 6, step: 40, steps: 120, loss: 0.41 };
    let told = [
        Told::Lives(Some(4711)),
        Told::Update(Update::Status(status)),
        Told::Update(Update::Progress { run: run(4, 1), progress }),
    ];
    for told in told {
        update(&mut seen.model, Msg::Told { sweep: "contracts".to_owned(), told });
    }
    let (frame, _) = seen.frame(120, 40);
    insta::assert_snapshot!("machine_told_120x40", frame);
    assert!(frame.contains("process 4711 on box  paused") && frame.contains("1 of 3 slots busy"), "{frame}");
    assert!(frame.contains("2/6") && frame.contains("0.4100") && frame.contains("next  4/3  4/4"), "{frame}");
    assert_eq!(given(seen.press("jRy").await), Order::Restart { trial: TrialId(4), fold: run(4, 1).fold });
    update(&mut seen.model, Msg::Told { sweep: "contracts".to_owned(), told: Told::Left });
    assert!(seen.frame(120, 40).0.contains("no coordinator listens"));
}

#[tokio::test]
async fn a_sweep_whose_coordinator_is_gone_is_lost() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    let (sweep, machine) = (seen.model.sweeps.selected(&seen.model.data).expect("one is"), Screen::Machine.number());
    update(&mut seen.model, Msg::Answer(Want::Lost, Answered::Lost([sweep].into())));
    let (trial, lanes) = ("2/trial=4<enter><enter>f".to_owned(), Screen::Lanes.number().to_string());
    let screens = [
        ("sweeps", String::new()),
        ("trials", "<enter>".to_owned()),
        ("lanes", lanes),
        ("trial", trial),
        ("machine", machine.to_string()),
    ];
    for (name, keys) in screens {
        seen.press(&keys).await;
        for (width, height) in [(120, 40), (60, 20)] {
            let frame = seen.frame(width, height).0;
            insta::assert_snapshot!(format!("lost_{name}_{width}x{height}"), frame);
            // its clocks stand still, and so does the sign of what runs
            let now = seen.model.now;
            update(&mut seen.model, Msg::Tick(Millis(now.0 + 5000)));
            assert_eq!(seen.frame(width, height).0, frame, "{name}");
            update(&mut seen.model, Msg::Tick(now));
            // above them Lanes says what the signs mean
            let rows = frame.lines().skip(3);
            assert!(!rows.clone().any(|row| row.contains('▸')), "{name} says that something runs:\n{frame}");
        }
    }
    assert_eq!(seen.model.listens_to(), None);
    assert_eq!(seen.press("P").await, None);
    let said = seen.model.toast.clone().expect("it is said");
    assert!(said.text.contains("its coordinator is gone; `sweep resume contracts`"), "{}", said.text);
    // somebody has resumed it
    update(&mut seen.model, Msg::Answer(Want::Lost, Answered::Lost([].into())));
    assert!(!seen.frame(120, 40).0.contains("lost"));
    assert!(seen.frame(120, 40).0.contains("▸ 4/1"), "it runs again");
}

#[tokio::test]
async fn a_dashboard_beside_a_sweep_does_not_stop_it() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    assert_eq!(seen.press("<c-z>").await, Some(Effect::Suspend));
    seen.model.conducts = true;
    assert_eq!(seen.press("<c-z>").await, None);
    assert!(seen.frame(120, 40).0.contains("q leaves it running here"));
}

#[tokio::test]
async fn a_budget_of_seconds_ends_what_its_pace_would_not() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>").await;
    let outline = seen.model.open_sweep().expect("is open");
    let (now, spent) = (seen.model.now, outline.seconds(seen.model.now));
    let paced = outline.seconds_left(now, None).expect("it has a pace");
    let half = outline.seconds_left(now, Some(spent + paced / 2.0)).expect("it has a budget");
    assert!((half - paced / 2.0).abs() < 1e-6, "{half}");
    assert_eq!(outline.seconds_left(now, Some(1e9)), Some(paced));
    assert_eq!(outline.seconds_left(now, Some(spent / 2.0)), Some(0.0), "it is spent");
}
