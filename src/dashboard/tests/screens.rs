//! What is seen, in three sizes, of five states.

use super::seen::Seen;
use super::story::Story;
use crate::dashboard::message::Screen;
use crate::dashboard::theme::{Depth, Glyphs, Ground, Theme};

const SIZES: [(u16, u16); 3] = [(120, 40), (100, 30), (60, 20)];

async fn story(name: &str) -> Story {
    match name {
        "empty" => Story::empty().await,
        "running" => Story::running().await,
        "failed" => Story::failed().await,
        "finished" => Story::finished().await,
        _ => Story::huge().await,
    }
}

/// After these keys, in all sizes and states.
async fn check(screen: &str, keys: &str) {
    for state in ["empty", "running", "failed", "finished", "huge"] {
        let story = story(state).await;
        let mut seen = Seen::of(&story).await;
        seen.press(keys).await;
        for (width, height) in SIZES {
            let (frame, _) = seen.frame(width, height);
            insta::assert_snapshot!(format!("{screen}_{state}_{width}x{height}"), frame);
        }
    }
}

#[tokio::test]
async fn sweeps() {
    check("sweeps", "").await;
}

#[tokio::test]
async fn trials() {
    check("trials", "<enter>").await;
}

#[tokio::test]
async fn trial() {
    check("trial", "<enter><enter>").await;
}

#[tokio::test]
async fn lanes() {
    check("lanes", &format!("<enter>{}", Screen::Lanes.number())).await;
}

#[tokio::test]
async fn compare() {
    check("compare", &format!("<enter>{}", Screen::Compare.number())).await;
}

#[tokio::test]
async fn sheets_of_a_comparison() {
    let compare = Screen::Compare.number();
    let marked = format!("<enter>   {compare}");
    let sheets = [
        ("finished", "folds", format!("{marked}fj")),
        ("finished", "parameters", format!("{marked}p")),
        ("finished", "metrics", format!("{marked}v")),
        ("finished", "each", format!("{marked}emt")),
        ("finished", "sweeps", format!("  {compare}jj")),
        ("failed", "folds", format!("<enter>  {compare}fj")),
        ("running", "progress", format!("{marked}bx<left>")),
    ];
    for (state, sheet, keys) in sheets {
        let story = story(state).await;
        let mut seen = Seen::of(&story).await;
        seen.press(&keys).await;
        for (width, height) in SIZES {
            insta::assert_snapshot!(format!("compare_{sheet}_{state}_{width}x{height}"), seen.frame(width, height).0);
        }
    }
}

#[tokio::test]
async fn machine() {
    check("machine", &format!("<enter>{}", Screen::Machine.number())).await;
}

#[tokio::test]
async fn what_is_asked_before_an_order() {
    let story = Story::running().await;
    let mut seen = Seen::of(&story).await;
    for (name, keys) in [
        ("kill_trial", "<enter>X"),
        ("stop", "<esc>S"),
        ("enqueue", "<esc>A"),
        ("enqueue_wrong", "<c-u>5<enter>"),
        ("note", "<esc>W损失爆炸"),
        ("slots", "<esc>#0<enter>"),
    ] {
        seen.press(keys).await;
        for (width, height) in SIZES {
            insta::assert_snapshot!(format!("steer_{name}_{width}x{height}"), seen.frame(width, height).0);
        }
    }
}

#[tokio::test]
async fn what_was_said_of_trials() {
    let story = Story::finished().await;
    story.remark(&[(2, "exclude", ""), (5, "tag", "fast"), (5, "note", "损失爆炸 in fold 3")]).await;
    let mut seen = Seen::of(&story).await;
    seen.press("<enter>").await;
    for (name, keys) in [("trials", ""), ("trial", "/trial=5<enter><enter>")] {
        seen.press(keys).await;
        for (width, height) in SIZES {
            insta::assert_snapshot!(format!("remarks_{name}_{width}x{height}"), seen.frame(width, height).0);
        }
    }
}

#[tokio::test]
async fn pages_of_a_trial() {
    for (state, page) in [("failed", "f"), ("finished", "f"), ("finished", "p"), ("finished", "e"), ("running", "e")] {
        let story = story(state).await;
        let mut seen = Seen::of(&story).await;
        seen.press(&format!("<enter><enter>n{page}")).await;
        for (width, height) in SIZES {
            insta::assert_snapshot!(format!("trial_{page}_{state}_{width}x{height}"), seen.frame(width, height).0);
        }
    }
}

#[tokio::test]
async fn search() {
    check("search", &to_search("")).await;
}

#[tokio::test]
async fn pages_of_a_search() {
    let pages = [("failed", "i"), ("failed", "c"), ("running", "s"), ("running", "p"), ("empty", "p")];
    let pages = pages.into_iter().chain([("finished", "i"), ("finished", "s"), ("finished", "s<right><right>")]);
    for (state, page) in pages.chain([("finished", "c"), ("finished", "p"), ("huge", "p"), ("finished", "r")]) {
        let story = story(state).await;
        let mut seen = Seen::of(&story).await;
        seen.press(&to_search(page)).await;
        let name = page.replace("<right>", "l");
        for (width, height) in SIZES {
            insta::assert_snapshot!(format!("search_{name}_{state}_{width}x{height}"), seen.frame(width, height).0);
        }
    }
}

/// Keys that lead there, and then some more.
fn to_search(keys: &str) -> String {
    format!("<enter>{}{keys}", Screen::Search.number())
}

#[tokio::test]
async fn letters_alone_are_enough() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    seen.model.theme = Theme { depth: Depth::Mono, ground: Ground::Light, glyphs: Glyphs::Ascii };
    let (compare, lanes) = (Screen::Compare.number().to_string(), Screen::Lanes.number().to_string());
    let screens =
        [("sweeps", ""), ("trials", "<enter>"), ("trial", "<enter>"), ("compare", &compare), ("lanes", &lanes)];
    for (name, keys) in screens {
        seen.press(keys).await;
        insta::assert_snapshot!(format!("ascii_{name}"), seen.frame(100, 30).0);
    }
    let search = Screen::Search.number().to_string();
    for page in ["o", "i", "s", "c", "p"] {
        seen.press(&format!("{search}{page}")).await;
        insta::assert_snapshot!(format!("ascii_search_{page}"), seen.frame(100, 30).0);
    }
}

#[tokio::test]
async fn what_lies_above() {
    let story = Story::finished().await;
    let mut seen = Seen::of(&story).await;
    for (name, keys) in
        [("help", "<enter>?"), ("palette", "<esc>:sw"), ("columns", "<esc>c"), ("filter", "<esc>/st=fnished")]
    {
        seen.press(keys).await;
        insta::assert_snapshot!(format!("above_{name}"), seen.frame(80, 24).0);
    }
}

#[tokio::test]
async fn a_small_terminal_is_told_so() {
    let story = Story::empty().await;
    let frame = Seen::of(&story).await.frame(50, 10).0;
    assert!(frame.contains("60x20 is the least"), "{frame}");
}
