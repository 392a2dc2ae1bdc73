use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::spec::Holdout;

/// The validation documents of each fold, as scikit-learn deals them.
#[derive(Deserialize)]
struct Fixtures {
    splits: Splits,
}

#[derive(Deserialize)]
struct Splits {
    y: Vec<u32>,
    groups: Vec<u32>,
    #[serde(rename = "KFold4")]
    kfold: Vec<Vec<usize>>,
    #[serde(rename = "StratifiedKFold3")]
    stratified: Vec<Vec<usize>>,
    #[serde(rename = "GroupKFold3")]
    grouped: Vec<Vec<usize>>,
    #[serde(rename = "StratifiedGroupKFold3")]
    stratified_grouped: Vec<Vec<usize>>,
}

#[test]
fn unshuffled_splits_equal_scikit_learn() {
    let json = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics.json"));
    let Fixtures { splits: of } = serde_json::from_str(json).expect("the fixture has this shape");
    assert_eq!(validations(&kfold(18, 4), 4), of.kfold);
    assert_eq!(validations(&stratified(&of.y, 3), 3), of.stratified);
    assert_eq!(validations(&grouped(&of.groups, 3), 3), of.grouped);
    assert_eq!(validations(&stratified_grouped(&of.y, &of.groups, 3, 3), 3), of.stratified_grouped);
}

/// A stored sweep repeats its splits by its seed: they must not change with a dependency.
#[test]
fn plans_stay_what_they_are() {
    let labels = [0, 1, 0, 1, 2, 2, 0, 1, 2, 0];
    let sets = labels.map(|label| (0..=label).collect::<Vec<u32>>());
    let groups = [0, 0, 1, 1, 2, 2, 3, 4, 5, 6];
    let single = Labels::Single { of: &labels, classes: 3 };
    let multi = Labels::Multi { of: &sets, classes: 3 };
    let row = |(name, labels, groups, stratify)| {
        let folds = Folds::plan(labels, groups, 3, 2, stratify, 17).expect("can be split");
        let repeat = |r| folds.assignment(r).iter().map(u32::to_string).collect::<String>();
        [repeat(0), repeat(1), name].join(" ")
    };
    let picture = [
        ("plain".to_owned(), single, None, false),
        ("stratified".to_owned(), single, None, true),
        ("iterative".to_owned(), multi, None, true),
        ("grouped".to_owned(), single, Some(&groups[..]), false),
        ("grouped stratified".to_owned(), single, Some(&groups[..]), true),
        ("grouped multi-label".to_owned(), multi, Some(&groups[..]), true),
    ]
    .map(row);
    assert_eq!(
        picture,
        [
            "0212010021 0001212012 plain",
            "0122010021 0102201012 stratified",
            "0001022211 2210210100 iterative",
            "1100222100 0011221020 grouped",
            "0022001121 1100002212 grouped stratified",
            "2200220111 0022001121 grouped multi-label",
        ]
    );
}

/// So must what no fold saw.
#[test]
fn holdouts_stay_what_they_are() {
    let labels: Vec<u32> = [0, 1, 0, 1, 2, 2, 0, 1, 2, 0].repeat(2);
    let sets: Vec<Vec<u32>> = labels.iter().map(|label| (0..=*label).collect()).collect();
    let groups: Vec<u32> = (0..20).map(|document| document / 2).collect();
    let single = Labels::Single { of: &labels, classes: 3 };
    let multi = Labels::Multi { of: &sets, classes: 3 };
    let picture = [
        ("plain", single, None, false),
        ("stratified", single, None, true),
        ("iterative", multi, None, true),
        ("grouped", single, Some(&groups[..]), false),
        ("grouped stratified", single, Some(&groups[..]), true),
        ("grouped multi-label", multi, Some(&groups[..]), true),
    ]
    .map(|(name, labels, groups, stratify)| {
        let held = holdout(labels, groups, Holdout { share: 0.2, seed: 17, stratify }).expect("can be held out");
        let row = (0..20).map(|document| if held.contains(&document) { 'x' } else { '.' });
        format!("{} {name}", row.collect::<String>())
    });
    insta::assert_snapshot!(picture.join("\n"), @r"
    ...........x...xx.x. plain
    x..........x...xx... stratified
    ...x..x.....x.x..... iterative
    ..........xx......xx grouped
    ........xx......xx.. grouped stratified
    xx................xx grouped multi-label
    ");
}

#[test]
fn what_cannot_be_held_out_is_refused() {
    let refused = |of: &[u32], groups: Option<&[u32]>, share| {
        let plan = Holdout { share, seed: 0, stratify: true };
        holdout(Labels::Single { of, classes: 2 }, groups, plan).expect_err("must be refused").to_string()
    };
    assert_eq!(refused(&[0, 1, 0], None, 0.15), "0.15 of 3 documents is fewer than one");
    assert_eq!(refused(&[0, 0, 0, 0, 0, 1], None, 0.2), "class 1: 0.2 of its 1 documents is fewer than one");
    let one = "the documents are of one group, which cannot be held out and trained on";
    assert_eq!(refused(&[0, 1, 0, 1], Some(&[7; 4]), 0.5), one);
    let confined = "class 1: its groups cannot be both held out and trained on";
    assert_eq!(refused(&[0, 0, 0, 0, 1, 1], Some(&[0, 0, 1, 1, 2, 2]), 0.5), confined);
    let rare = Labels::Single { of: &[0, 0, 0, 0, 0, 1], classes: 2 };
    let plan = Holdout { share: 0.2, seed: 0, stratify: false };
    assert_eq!(holdout(rare, None, plan).expect("at random").len(), 1);
}

#[test]
fn a_rare_label_has_its_share_of_the_holdout() {
    let sets: Vec<Vec<u32>> = (0..200).map(|d| (0..3).filter(|l| d % (5 * l + 2) == 0).collect()).collect();
    let plan = Holdout { share: 0.15, seed: 3, stratify: true };
    let held = holdout(Labels::Multi { of: &sets, classes: 3 }, None, plan).expect("can be held out");
    assert_eq!(held.len(), 30);
    let counts = [0, 1, 2].map(|label| held.iter().filter(|d| sets[**d as usize].contains(&label)).count());
    // of 100, 29 and 17
    assert!(counts[0].abs_diff(15) <= 1 && counts[1].abs_diff(4) <= 1 && counts[2].abs_diff(3) <= 1, "{counts:?}");
}

#[test]
fn what_cannot_be_split_is_refused() {
    let refused = |of: &[u32], groups: Option<&[u32]>, k, repeats| {
        let labels = Labels::Single { of, classes: 2 };
        Folds::plan(labels, groups, k, repeats, true, 0).expect_err("must be refused").to_string()
    };
    assert_eq!(refused(&[0, 1], None, 1, 1), "expected 2 or more folds, found 1");
    assert_eq!(refused(&[0, 1], None, 2, 0), "expected 1 or more repeats, found 0");
    assert_eq!(refused(&[0, 1], None, 3, 1), "expected 3 or more documents for 3 folds, found 2");
    assert_eq!(
        refused(&[0, 0, 1, 0], None, 2, 1),
        "class 1: expected 2 or more documents for 2 stratified folds, found 1"
    );
    assert_eq!(refused(&[0, 1, 0, 1], Some(&[5, 5, 9, 9]), 3, 1), "expected 3 or more groups for 3 folds, found 2");
    assert_eq!(
        refused(&[0, 1, 1, 0], Some(&[0, 1, 1, 2]), 2, 1),
        "class 1: cannot be in every training set of 2 folds, groups that hold it: 1"
    );
}

#[test]
fn unstratified_and_multi_label_splits_put_up_with_rare_classes() {
    let labels = Labels::Single { of: &[0, 0, 1, 0], classes: 3 };
    assert!(Folds::plan(labels, None, 2, 1, false, 0).is_ok());
    assert!(Folds::plan(labels, Some(&[0, 1, 2, 3]), 2, 1, false, 0).is_ok());
    let sets = [vec![], vec![0], vec![0, 1], vec![]];
    let labels = Labels::Multi { of: &sets, classes: 3 };
    assert!(Folds::plan(labels, None, 4, 1, true, 0).is_ok());
    assert!(Folds::plan(labels, Some(&[0, 1, 1, 3]), 3, 1, true, 0).is_ok());
}

/// Weighing class shares alone can leave a fold empty (scikit-learn's issue 33085).
#[test]
fn an_empty_fold_is_filled() {
    let (labels, groups) = ([0, 1, 0, 1, 1, 0, 0, 0, 0], [0, 1, 2, 3, 1, 2, 1, 0, 1]);
    let unrepaired = validations(&stratified_grouped(&labels, &groups, 2, 4), 4);
    assert_eq!(unrepaired, [vec![2, 5], vec![1, 4, 6, 8], vec![], vec![0, 3, 7]]);
    let labels = Labels::Single { of: &labels, classes: 2 };
    let folds = Folds::plan(labels, Some(&groups), 4, 1, true, 0).expect("can be split");
    assert!((0..4).all(|fold| !folds.split(0, fold).1.is_empty()));

    let mut fold_of = [0, 0, 2, 2];
    fill_empty(&mut fold_of, &[4, 1, 1, 1], 3);
    assert_eq!(fold_of, [0, 1, 2, 2]);
}

#[test]
fn a_label_is_dealt_evenly_even_where_labels_overlap() {
    let sets: Vec<Vec<u32>> = (0..60).map(|d| (0..3).filter(|l| d % (l + 2) == 0).collect()).collect();
    let folds = Folds::plan(Labels::Multi { of: &sets, classes: 3 }, None, 5, 1, true, 3).expect("splits");
    let counts = |label| {
        let has = |&document: &u32| sets[document as usize].contains(&label);
        (0..5).map(|fold| folds.split(0, fold).1.iter().filter(|d| has(d)).count()).collect::<Vec<_>>()
    };
    assert_eq!([counts(0), counts(1), counts(2)], [vec![6; 5], vec![4; 5], vec![3; 5]]);
}

/// Class, labels and group.
type Document = (u32, BTreeSet<u32>, u32);

/// Documents, `k`, seed.
fn corpus() -> impl Strategy<Value = (Vec<Document>, u32, u64)> {
    let document = (0..3_u32, btree_set(0..4_u32, 0..4), 0..12_u32);
    (vec(document, 8..60), 2..5_u32, any::<u64>())
}

proptest! {
    #[test]
    fn laws_of_every_split((corpus, k, seed) in corpus(), stratify: bool, by_group: bool, multi: bool) {
        let classes: Vec<_> = corpus.iter().map(|d| d.0).collect();
        let sets: Vec<Vec<_>> = corpus.iter().map(|d| d.1.iter().copied().collect()).collect();
        let groups: Vec<_> = corpus.iter().map(|d| d.2).collect();
        let labels = if multi {
            Labels::Multi { of: &sets, classes: 4 }
        } else {
            Labels::Single { of: &classes, classes: 3 }
        };
        let plan = || Folds::plan(labels, by_group.then_some(&groups[..]), k, 2, stratify, seed);
        let folds = plan();
        prop_assert_eq!(&folds, &plan());
        let Ok(folds) = folds else { return Ok(()) };
        for repeat in 0..2 {
            let mut validated = vec![0; corpus.len()];
            for fold in 0..k {
                let (train, validation) = folds.split(repeat, fold);
                prop_assert!(!validation.is_empty() && !train.is_empty());
                prop_assert!(train.is_sorted() && validation.is_sorted());
                prop_assert_eq!(train.len() + validation.len(), corpus.len());
                for &document in &validation {
                    validated[document as usize] += 1;
                    prop_assert!(train.binary_search(&document).is_err());
                }
                if by_group {
                    let of = |documents: &[u32]| -> BTreeSet<u32> {
                        documents.iter().map(|&d| groups[d as usize]).collect()
                    };
                    prop_assert!(of(&train).is_disjoint(&of(&validation)));
                }
                if stratify && !multi {
                    let seen: BTreeSet<_> = train.iter().map(|&d| classes[d as usize]).collect();
                    prop_assert_eq!(seen.len(), 3);
                }
            }
            prop_assert!(validated.iter().all(|&times| times == 1));
            let of_fold = |fold| validations(folds.assignment(repeat), k)[fold as usize].clone();
            if !by_group && !multi {
                prop_assert!(differ_by_at_most_one((0..k).map(|f| of_fold(f).len())));
            }
            if stratify && !by_group && !multi {
                for class in 0..3 {
                    let count = |f| of_fold(f).iter().filter(|&&d| classes[d] == class).count();
                    prop_assert!(differ_by_at_most_one((0..k).map(count)));
                }
            }
        }
    }

    #[test]
    fn laws_of_every_holdout(
        (corpus, _, seed) in corpus(), share in 0.1..0.5f64, stratify: bool, by_group: bool, multi: bool,
    ) {
        let classes: Vec<_> = corpus.iter().map(|d| d.0).collect();
        let sets: Vec<Vec<_>> = corpus.iter().map(|d| d.1.iter().copied().collect()).collect();
        let groups: Vec<_> = corpus.iter().map(|d| d.2).collect();
        let labels = if multi {
            Labels::Multi { of: &sets, classes: 4 }
        } else {
            Labels::Single { of: &classes, classes: 3 }
        };
        let groups = by_group.then_some(&groups[..]);
        let plan = Holdout { share, seed, stratify };
        let held = holdout(labels, groups, plan);
        prop_assert_eq!(&held, &holdout(labels, groups, plan));
        let Ok(held) = held else { return Ok(()) };
        prop_assert!(held.is_sorted() && !held.is_empty() && held.len() < corpus.len());
        let rest: Vec<u32> = (0..corpus.len() as u32).filter(|document| !held.contains(document)).collect();
        if let Some(groups) = groups {
            let of = |documents: &[u32]| -> BTreeSet<u32> { documents.iter().map(|&d| groups[d as usize]).collect() };
            prop_assert!(of(&held).is_disjoint(&of(&rest)));
        } else if !(multi && stratify) {
            prop_assert!((held.len() as f64 - share * corpus.len() as f64).abs() <= 0.5 + 1e-6);
        }
        if stratify && !multi {
            let count = |documents: &[u32], class| documents.iter().filter(|&&d| classes[d as usize] == class).count();
            for class in (0..3).filter(|class| classes.contains(class)) {
                let [out, kept] = [count(&held, class), count(&rest, class)];
                prop_assert!(out > 0 && kept > 0);
                let exact = share * (out + kept) as f64;
                prop_assert!(by_group || (out as f64 - exact).abs() <= 1.0 + 1e-6);
            }
        }
    }

    /// Of many groups of about one size, each class has about its share on either side.
    #[test]
    fn groups_are_divided_by_their_share(seed: u64, share in 0.1..0.5f64) {
        let groups: Vec<u32> = (0..400).map(|document| document / 4).collect();
        let labels: Vec<u32> = (0..400).map(|document| document * 7 % 5 % 3).collect();
        let plan = Holdout { share, seed, stratify: true };
        let held = holdout(Labels::Single { of: &labels, classes: 3 }, Some(&groups), plan).expect("is divided");
        for class in 0..3 {
            let count = |documents: &mut dyn Iterator<Item = u32>| documents.filter(|d| labels[*d as usize] == class).count();
            let (out, all) = (count(&mut held.iter().copied()), count(&mut (0..400)));
            prop_assert!((out as f64 - share * all as f64).abs() <= 5.0, "{out} of {all} at {share}");
        }
        let other = holdout(
            Labels::Single { of: &labels, classes: 3 }, Some(&groups), Holdout { seed: seed.wrapping_add(1), ..plan },
        );
        prop_assert_ne!(held, other.expect("is divided"));
    }

    #[test]
    fn repeats_and_seeds_differ(seed: u64, stratify: bool, by_group: bool) {
        // Groups of 1 to 30 documents, no two of one size.
        let groups: Vec<_> = (0..30).flat_map(|group| vec![group; group as usize + 1]).collect();
        let labels: Vec<_> = (0..groups.len() as u32).map(|document| document % 2).collect();
        let labels = Labels::Single { of: &labels, classes: 2 };
        let plan = |seed| Folds::plan(labels, by_group.then_some(&groups[..]), 3, 8, stratify, seed);
        let partitions = |seed| {
            let folds = plan(seed).expect("can be split");
            (0..8).map(|repeat| {
                let folds = validations(folds.assignment(repeat), 3);
                folds.into_iter().collect::<BTreeSet<_>>()
            })
            .collect::<BTreeSet<_>>()
        };
        let of_seed = partitions(seed);
        prop_assert!(of_seed.len() == 8, "{} of 8 differ", of_seed.len());
        prop_assert_ne!(of_seed, partitions(seed.wrapping_add(1)));
    }
}

fn validations(fold_of: &[u32], k: u32) -> Vec<Vec<usize>> {
    let of = |fold| (0..fold_of.len()).filter(|&d| fold_of[d] == fold).collect();
    (0..k).map(of).collect()
}

fn differ_by_at_most_one(counts: impl Iterator<Item = usize> + Clone) -> bool {
    counts.clone().max() <= counts.min().map(|least| least + 1)
}
