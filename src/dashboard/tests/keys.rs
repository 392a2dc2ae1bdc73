//! What keys and clicks do to the model.

use ratatui::layout::Position;

use super::seen::Seen;
use super::story::Story;
use crate::dashboard::message::{Effect, Screen};
use crate::dashboard::model::{Panel, SearchView, update};
use crate::sweep::TrialId;

impl Seen {
    fn selected(&self) -> Option<TrialId> {
        let ledger = self.model.data.ledger(self.model.sweep?)?;
        self.model.trials.selected(ledger).map(|trial| trial.id)
    }

    fn shown(&self) -> Vec<i32> {
        let ledger = self.model.sweep.and_then(|sweep| self.model.data.ledger(sweep)).expect("a sweep is open");
        self.model.trials.rows().iter().map(|row| ledger.trials[*row as usize].id.0).collect()
    }

    /// Sweeps and trials.
    fn compared(&self) -> Vec<(i64, i32)> {
        self.model.lineup().all.iter().map(|it| (it.outline.head.key.0, it.trial.id.0)).collect()
    }

    /// Clicks on the first place where a text stands.
    fn click(&mut self, text: &str) {
        let (frame, zones) = self.frame(120, 40);
        let (y, line) = frame.lines().enumerate().find(|(_, line)| line.contains(text)).expect("it is on the screen");
        let before = &line[..line.find(text).expect("it was just found")];
        let x = unicode_width::UnicodeWidthStr::width(before);
        let msg = zones.at(Position::new(x as u16, y as u16)).expect("a click there means something");
        update(&mut self.model, msg);
    }
}

#[tokio::test]
async fn one_goes_in_and_back_out() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press("j<enter>").await;
    assert_eq!(seen.model.screen, Screen::Trials);
    assert_eq!(seen.model.open_sweep().map(|outline| outline.name.as_str()), Some("lr"));
    seen.press("<enter>").await;
    assert_eq!((seen.model.screen, seen.model.trial_id), (Screen::Trial, Some(TrialId(2))));
    seen.press("<esc><esc>").await;
    assert_eq!(seen.model.screen, Screen::Sweeps);
    seen.press("2").await;
    assert_eq!(seen.model.screen, Screen::Trials);
    assert_eq!(seen.press("q").await, Some(Effect::Quit));
}

#[tokio::test]
async fn trials_are_sorted_and_found() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>").await;
    assert_eq!(seen.shown()[..3], [2, 5, 6]);
    seen.press("r").await;
    assert_eq!(seen.shown().first(), Some(&-1));
    seen.press("/lr<1e-4 layers>1<enter>").await;
    assert_eq!(seen.shown(), [3, 2]);
    seen.press("<esc>").await;
    assert_eq!(seen.shown().len(), 9);
    seen.click("dropout");
    assert_eq!(seen.shown()[..2], [0, 5]);
    seen.click("dropout");
    assert_eq!(seen.shown()[..2], [4, 3]);
}

#[tokio::test]
async fn a_selected_trial_stays_selected_when_others_pass_it() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>jj").await;
    assert_eq!(seen.selected(), Some(TrialId(6)));
    seen.press("r").await;
    assert_eq!(seen.selected(), Some(TrialId(6)));
    seen.press("b").await;
    assert_eq!(seen.selected(), Some(TrialId(2)));
}

#[tokio::test]
async fn marks_and_columns() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>  ").await;
    let marked: Vec<i32> = seen.model.marks.iter().map(|(_, trial)| trial.0).collect();
    assert_eq!(marked, [2, 5]);
    seen.press("u").await;
    assert!(seen.model.marks.is_empty());
    assert!(seen.frame(120, 40).0.contains("time"));
    seen.press("cjjjj<enter><esc>").await;
    assert!(!seen.frame(120, 40).0.contains("time"));
}

#[tokio::test]
async fn the_palette_finds_by_letters() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press(":lr<enter>").await;
    assert_eq!(seen.model.open_sweep().map(|outline| outline.name.as_str()), Some("lr"));
    seen.press("<c-p>nothing like that<enter>").await;
    assert!(seen.model.takes_text());
    seen.press("<esc>").await;
    assert!(!seen.model.takes_text());
}

#[tokio::test]
async fn clicks_go_where_they_point() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.click("2 Trials");
    assert_eq!(seen.model.screen, Screen::Trials);
    seen.settle().await;
    seen.click("0.7430");
    assert_eq!(seen.selected(), Some(TrialId(6)));
}

#[tokio::test]
async fn curves_are_chosen_zoomed_and_read() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter><enter>").await;
    let (all, _) = seen.frame(120, 40);
    assert!(all.contains("macro_f1") && all.contains("0:0."), "{all}");
    seen.press("m").await;
    let (loss, _) = seen.frame(120, 40);
    assert!(loss.contains("╌ train") && loss.contains("─ validation"), "{loss}");
    seen.press("t").await;
    assert!(!seen.frame(120, 40).0.contains("╌ train"));
    seen.press("M<down><enter>").await;
    assert_eq!(seen.model.trial.metric.as_deref(), Some("loss"));
    seen.press("<left>++").await;
    let (zoomed, _) = seen.frame(120, 40);
    assert!(zoomed.contains("zoom 4x") && zoomed.contains("at epoch"), "{zoomed}");
    seen.press("0").await;
    assert_eq!((seen.model.trial.window, seen.model.trial.cursor), ((0.0, 1.0), None));
}

#[tokio::test]
async fn the_next_trial_is_that_of_the_table() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter><enter>n").await;
    assert_eq!((seen.model.trial_id, seen.selected()), (Some(TrialId(5)), Some(TrialId(5))));
    seen.press("NN").await;
    assert_eq!(seen.model.trial_id, Some(TrialId(2)));
}

#[tokio::test]
async fn the_command_is_copied() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    let copied = seen.press("<enter><enter>pY").await;
    let expected = "sweep run sweeps/contracts.toml --set folds.k=5 --set 'search.sampler=\"random\"' \
        --set search.trials=1 --set 'search.start=[{ \"train.learning_rate\" = 4e-5, \
        \"model.aggregator.layers\" = 2, \"model.label_attention\" = \"none\", \"train.dropout\" = 0.2 }]'";
    assert_eq!(copied, Some(Effect::Copy(expected.to_owned())));
}

#[tokio::test]
async fn a_log_is_followed() {
    let story = Story::running().await;
    let log = crate::store::log_path(&story.path(), "contracts", super::story::run(4, 1));
    std::fs::create_dir_all(log.parent().expect("a directory")).expect("is made");
    std::fs::write(&log, "第一行\n").expect("is written");
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>/trial=4<enter><enter>o").await;
    let (frame, _) = seen.frame(100, 30);
    assert!(frame.contains("run 4/1") && frame.contains("第一行"), "{frame}");
    std::fs::write(&log, "第一行\nthe second\n").expect("is written");
    while !seen.frame(100, 30).0.contains("the second") {
        seen.hear().await;
    }
    seen.press("<left>").await;
    assert!(seen.frame(100, 30).0.contains("run 4/0"));
}

#[tokio::test]
async fn what_is_marked_is_compared() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    let compare = Screen::Compare.number();
    seen.press(&format!("<enter>{compare}")).await;
    assert_eq!(seen.compared(), [(2, 2), (2, 5)]);
    // the worst is the baseline: beside it the best
    seen.press(&format!("2r {compare}")).await;
    assert_eq!(seen.compared(), [(2, -1), (2, 2)]);
    seen.press(&format!("2/trial=1<enter> {compare}")).await;
    assert_eq!(seen.compared(), [(2, -1), (2, 1)]);
    seen.press("j ").await;
    assert_eq!(seen.compared(), [(2, 1), (2, 2)]);
    seen.press(&format!("1g  {compare}")).await;
    assert_eq!(seen.compared(), [(1, 2), (2, 2)]);
    seen.press("w").await;
    assert_eq!(seen.compared(), [(2, 1), (2, 2)]);
    seen.press("j<enter>").await;
    assert_eq!((seen.model.screen, seen.model.trial_id), (Screen::Trial, Some(TrialId(1))));
    seen.press("<esc>").await;
    assert_eq!(seen.model.screen, Screen::Compare);
}

#[tokio::test]
async fn others_are_measured_against_the_reference() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press(&format!("<enter>   {}", Screen::Compare.number())).await;
    let difference = |seen: &Seen, row: usize| {
        let lineup = seen.model.lineup();
        let comparison = seen.model.compare.against(&lineup, &lineup.all[row]).expect("of one sweep");
        comparison.expect("both have all folds").difference
    };
    let first = difference(&seen, 1);
    assert!(first < 0.0 && difference(&seen, 0) == 0.0);
    seen.press("jjr").await;
    assert!((difference(&seen, 0) + first).abs() < 1e-12 && difference(&seen, 1) == 0.0);
    seen.press("r").await;
    assert_eq!(difference(&seen, 1), first);
}

#[tokio::test]
async fn sweeps_of_other_folds_are_not_paired() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.press(&format!("  {}jj", Screen::Compare.number())).await;
    let (frame, _) = seen.frame(120, 40);
    let why = "not paired with lr/2: other folds: 1 x 5 of seed 17, 1 x 5 of seed 3";
    assert!(frame.contains(why), "{frame}");
}

#[tokio::test]
async fn lanes_lead_to_what_runs() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    let lanes = Screen::Lanes.number();
    seen.press(&format!("<enter>{lanes}")).await;
    let under = |seen: &Seen| {
        let ledger = seen.model.ledger().expect("is open");
        (seen.model.lanes.selected(ledger).map(|trial| trial.id.0), seen.model.lanes.place())
    };
    assert_eq!(under(&seen), (Some(4), 0));
    seen.press("n").await;
    assert_eq!(under(&seen), (Some(4), 1));
    assert!(seen.frame(120, 40).0.contains("epoch 3"));
    seen.press("n").await;
    assert_eq!(under(&seen), (Some(4), 2));
    seen.press("n").await;
    assert_eq!(under(&seen), (Some(4), 1));
    seen.press("jl").await;
    assert_eq!(under(&seen), (Some(3), 2));
    let (frame, _) = seen.frame(120, 40);
    assert!(frame.contains("not run: its trial is raced out") && frame.contains("0.12 behind the best"), "{frame}");
    // a selected trial stays selected
    seen.press("ss").await;
    assert_eq!(under(&seen), (Some(3), 2));
    seen.press("b<right><enter>").await;
    assert_eq!((seen.model.screen, seen.model.trial_id), (Screen::Trial, Some(TrialId(2))));
    assert_eq!(seen.model.trial.fold, Some(3));
}

#[tokio::test]
async fn a_search_is_walked_through() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    let search = Screen::Search.number();
    seen.press(&format!("<enter>{search}")).await;
    assert!(seen.frame(120, 40).0.contains("would be next: learning_rate="));
    // the trial under the cursor is gone into, and comes back
    seen.press("<right>").await;
    assert!(seen.frame(120, 40).0.contains("trial 3 "));
    seen.press("<enter>").await;
    assert_eq!((seen.model.screen, seen.model.trial_id), (Screen::Trial, Some(TrialId(3))));
    seen.press("<esc>i").await;
    let chosen = |seen: &Seen| {
        let sweep = seen.model.sweep.expect("is open");
        let known = SearchView::parameters(&seen.model.data, sweep);
        (
            known.len(),
            known[seen.model.search.parameter(&known)].clone(),
            seen.model.search.pair(&seen.model.data, sweep),
        )
    };
    let (count, foremost, _) = chosen(&seen);
    assert_eq!(count, 4);
    seen.press("<down><enter>").await;
    let (_, second, _) = chosen(&seen);
    assert_ne!(second, foremost);
    assert_eq!(seen.model.search.panel, Panel::Slice);
    // a pair that is not among the foremost is computed when it is asked for
    seen.press("<enter>").await;
    assert_eq!(chosen(&seen).2, Some([second.clone(), foremost.clone()]));
    for _ in 0..2 {
        seen.press("<down>").await;
        let [across, up] = chosen(&seen).2.expect("four vary");
        assert_eq!(across, second);
        assert_ne!(up, second);
        assert!(seen.frame(120, 40).0.contains("together"), "{across} {up}");
    }
    let before = chosen(&seen).2.expect("four vary");
    seen.press("x").await;
    assert_eq!(chosen(&seen).2, Some([before[1].clone(), before[0].clone()]));
    // a range of an axis: of learning rates, the upper quarter
    seen.press("p<left> ").await;
    let (ranged, _) = seen.frame(120, 40);
    assert!(ranged.contains(" of 8 trials, mean"), "{ranged}");
    seen.press("<right>").await;
    assert_eq!(seen.model.search.brush, None);
    seen.press("]").await;
    assert_eq!(seen.model.search.panel, Panel::Overview);
}
