use proptest::prelude::*;

use super::*;
use crate::metrics::Metric;
use crate::spec::Direction;

/// Two configurations in five repeats of ten folds; what is expected was computed with scipy.
const A: [f64; 50] = [
    0.7985185822164824,
    0.8093670926844753,
    0.7987228283045248,
    0.7996867039280999,
    0.7801780843554375,
    0.8004340767811928,
    0.7815623102140179,
    0.8103140849632816,
    0.7979356213142696,
    0.8007971683522933,
    0.7821761926581942,
    0.8160751515988338,
    0.8138462781786435,
    0.8172304785809962,
    0.8445477216182635,
    0.7989496123541385,
    0.8240680567161562,
    0.7975234438715216,
    0.807881745916806,
    0.8073067485522587,
    0.8052918352671695,
    0.8131651235704077,
    0.7939212723932151,
    0.8008186456316296,
    0.8107061929468362,
    0.8349570780007699,
    0.7831528666203518,
    0.7638773475923418,
    0.790318290177046,
    0.8017985686596157,
    0.8034995418640738,
    0.8018443557157348,
    0.8236558024535757,
    0.8195209958556776,
    0.7990146419009742,
    0.7906090575449564,
    0.79307982237235,
    0.792873916940348,
    0.7954880105234373,
    0.7685469887691402,
    0.7907791851271476,
    0.7915023995740808,
    0.7962223922860409,
    0.7949139997515976,
    0.8134401428325507,
    0.7893611328807402,
    0.7912284459713824,
    0.8108387750933609,
    0.7952937030651154,
    0.8043290945369136,
];
const B: [f64; 50] = [
    0.8033867139671221,
    0.7984393898955612,
    0.7950032489596863,
    0.7860711688464836,
    0.8036378820618642,
    0.7935109988253001,
    0.7799029449787651,
    0.7869838162600198,
    0.7656374124535494,
    0.7707688805170618,
    0.7523418392644293,
    0.7764013723678618,
    0.8167109084326177,
    0.778870223200135,
    0.805750816342054,
    0.789931002915544,
    0.7759890235381693,
    0.8167655903025582,
    0.8016441169714629,
    0.7549639886943978,
    0.8108280439637339,
    0.768504170095535,
    0.7864417210683474,
    0.803362268433678,
    0.7840029367880165,
    0.8123788811123441,
    0.8052252752102633,
    0.7584624877902605,
    0.7805513168713244,
    0.7956414746644274,
    0.7785000263746992,
    0.7856744698763772,
    0.8059956982277791,
    0.7963356261336691,
    0.7715876192969029,
    0.7934921273870728,
    0.7777546072978025,
    0.7656961528154242,
    0.7673988829999587,
    0.7957391107420184,
    0.7894377258801288,
    0.7901086361711686,
    0.7670758190425517,
    0.7863214090002485,
    0.7692566478450182,
    0.7714721233286674,
    0.7866974648641912,
    0.7623321909735901,
    0.8033853453273423,
    0.8397376570254582,
];

#[test]
fn a_paired_difference_is_corrected_as_nadeau_and_bengio_do() {
    let differences: Vec<f64> = A.iter().zip(&B).map(|(a, b)| a - b).collect();
    let Comparison { folds, difference, difference_se, p } = Comparison::of(&differences, 10).expect("has folds");
    let error = difference_se.expect("has several folds");
    assert_eq!(folds, 50);
    assert!((difference / error - 1.848_272_533_623_813_3).abs() < 1e-9, "t = {}", difference / error);
    assert!((p.expect("has several folds") - 0.070_602_454_722_05).abs() < 1e-9, "{p:?}");
    let half = critical_t(49) * error;
    assert!((difference - half + 0.001_202_718_955_237_635).abs() < 1e-9);
    assert!((difference + half - 0.028_765_213_102_270_648).abs() < 1e-9);
    // without the correction t is 4.73
    let naive = error * (0.02_f64 / (0.02 + 1.0 / 9.0)).sqrt();
    assert!((difference / naive - 4.732_283_570_848_963).abs() < 1e-9);
}

#[test]
fn quantiles_of_student() {
    // R: qt(0.975, c(1, 2, 4, 9, 49))
    for (degrees, t) in
        [(1, 12.706_204_736), (2, 4.302_652_730), (4, 2.776_445_105), (9, 2.262_157_163), (49, 2.009_575_237)]
    {
        assert!((critical_t(degrees) - t).abs() < 1e-6, "{degrees}: {}", critical_t(degrees));
    }
}

#[test]
fn errors_of_few_scores() {
    assert_eq!(standard_error(&[], 5), None);
    assert_eq!(standard_error(&[0.8], 5), None);
    assert_eq!(standard_error(&[0.75, 0.75, 0.75], 3), Some(0.0));
    // variance 0.0008, times 1/2 + 1/(2 - 1)
    assert!((standard_error(&[0.80, 0.84], 2).expect("two") - 0.0012_f64.sqrt()).abs() < 1e-12);
    // the same documents again and again: the overlap stays, however often
    let many: Vec<f64> = (0..1000).map(|n| f64::from(n % 2)).collect();
    assert!((standard_error(&many, 5).expect("many") - 0.5 * (0.001_f64 + 0.25).sqrt()).abs() < 1e-3);
    // repeats of a single run share nothing that is known
    assert!((standard_error(&[0.0, 1.0], 1).expect("two") - 0.5).abs() < 1e-12);
}

#[test]
fn comparisons_at_the_edges() {
    assert_eq!(Comparison::of(&[], 3), None);
    let one = Comparison::of(&[0.1], 3).expect("one fold");
    assert_eq!((one.folds, one.difference_se, one.p), (1, None, None));
    let p = |differences: &[f64]| Comparison::of(differences, 3).expect("folds").p;
    assert_eq!(p(&[0.0, 0.0, 0.0]), Some(1.0), "equal everywhere");
    assert_eq!(p(&[0.25, 0.25, 0.25]), Some(0.0), "always ahead by the same");
}

#[test]
fn the_correction_of_tibshirani_by_hand() {
    // the winner is trial 0; the best of the folds are 0.9, 0.7 and 0.8
    let folds = vec![vec![0.9, 0.6, 0.8], vec![0.7, 0.7, 0.5]];
    assert!((tibshirani(&folds, 0, Direction::Maximize) - 0.1 / 3.0).abs() < 1e-12);
    let losses: Vec<Vec<f64>> = folds.iter().map(|scores| scores.iter().map(|score| 1.0 - score).collect()).collect();
    assert!((tibshirani(&losses, 0, Direction::Minimize) - 0.1 / 3.0).abs() < 1e-12);
    assert_eq!(tibshirani(&folds[..1], 0, Direction::Maximize), 0.0, "nothing was chosen");
}

#[test]
fn a_bootstrap_over_two_folds_by_hand() {
    // fold 0 drawn twice chooses trial 0, which is 0.3 behind on fold 1; fold 1 drawn twice the other way round
    let units = Units::Folds(vec![vec![0.9, 0.5], vec![0.8, 0.8]]);
    let bootstrap = Bootstrap { units: &units, winner: 1, direction: Direction::Maximize, seed: 7 };
    let draws: Vec<_> = (0..200).map(|number| bootstrap.draw(number)).collect();
    assert!(draws.iter().all(|draw| draw.is_none_or(|ahead| ahead == 0.0 || (ahead - 0.3).abs() < 1e-12)));
    assert!([None, Some(0.0)].iter().all(|wanted| draws.contains(wanted)), "both folds drawn: nothing is left");
    assert!(draws.iter().flatten().any(|ahead| *ahead > 0.0));
    assert_eq!(draws, (0..200).map(|number| bootstrap.draw(number)).collect::<Vec<_>>());
    let losses = Units::Folds(vec![vec![0.1, 0.5], vec![0.2, 0.2]]);
    let minimized = Bootstrap { units: &losses, direction: Direction::Minimize, ..bootstrap };
    let mirrored: Vec<_> = (0..200).map(|number| minimized.draw(number)).collect();
    let same = |(a, b): (&Option<f64>, &Option<f64>)| a.zip(*b).map_or(a == b, |(a, b)| (a - b).abs() < 1e-12);
    assert!(draws.iter().zip(&mirrored).all(same));
}

#[test]
fn nothing_to_draw_from_says_nothing() {
    for units in [Units::Folds(vec![]), Units::Folds(vec![vec![0.5]]), Units::Folds(vec![vec![f64::NAN; 3]; 2])] {
        let bootstrap = Bootstrap { units: &units, winner: 0, direction: Direction::Maximize, seed: 1 };
        assert_eq!(Optimism::over((0..20).map(|number| bootstrap.draw(number))), None, "{units:?}");
    }
}

/// Trials that differ in which of four documents they get right, with every metric of either task.
#[test]
fn documents_are_scored_by_any_metric_in_every_repeat() {
    for multi_label in [false, true] {
        for name in crate::metrics::names(multi_label) {
            let metric = Metric::named(name, multi_label).expect("is known");
            let labels = if multi_label {
                Labels::Multi(vec![vec![0], vec![0, 1], vec![1], vec![]])
            } else {
                Labels::Single(vec![0, 1, 1, 0])
            };
            let mut answers = OutOfFold::new(metric, 2, labels);
            for right in [0.9, 0.6] {
                let rows = vec![right, 1.0 - right, 0.4, 0.6, 1.0 - right, right, 0.7, 0.3];
                answers.push(vec![rows.clone(), rows.into_iter().rev().collect()], vec![0.5; 2]);
            }
            let units = Units::Documents(answers);
            let direction = crate::metrics::direction(name).expect("has one");
            let bootstrap = Bootstrap { units: &units, winner: 0, direction, seed: 3 };
            let draws: Vec<_> = (0..100).map(|number| bootstrap.draw(number)).collect();
            assert!(draws.iter().flatten().all(|ahead| ahead.is_finite()), "{name}");
            assert!(name.ends_with("at_3") || name.ends_with("at_5") || draws.iter().any(Option::is_some), "{name}");
        }
    }
}

proptest! {
    #[test]
    fn neither_the_order_of_the_folds_nor_a_shift_changes_an_error(
        scores in prop::collection::vec(0.0..1.0f64, 2..20), k in 2u32..10, shift in -1.0..1.0f64,
    ) {
        let error = standard_error(&scores, k).expect("several");
        let turned: Vec<f64> = scores.iter().rev().map(|score| score + shift).collect();
        prop_assert!((standard_error(&turned, k).expect("several") - error).abs() < 1e-9);
        prop_assert!(error >= 0.0);
    }
}
