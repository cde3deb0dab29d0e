//! Generates a program from a number.

use crate::program::{
    Behaviour, Config, Layout, Limit, Moves, Open, Program, Request, Seed, Step, Turn, USERS, Use,
};

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `ways`.
    fn below(&mut self, ways: u64) -> u64 {
        self.next() % ways
    }

    fn index(&mut self, ways: usize) -> usize {
        usize::try_from(self.below(ways as u64)).expect("below a usize")
    }

    /// True in so many of a thousand cases.
    fn permille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(total);
        for (weight, choice) in choices {
            if at < *weight {
                return *choice;
            }
            at -= weight;
        }
        unreachable!("the weights sum up to the total")
    }
}

/// How many configurations there are of races and of clicks each.
const CONFIGS: u64 = 200;

/// The program of a seed.
pub(crate) fn program(seed: u64) -> Program {
    let mut dice = Dice(seed);
    match dice.below(100) {
        0..25 => clicks(&mut dice),
        25..30 => unknown_renewal(&mut dice),
        30..35 => limited(&mut dice),
        35..39 => lost_rotation(&mut dice),
        39..44 => from_provider(&mut dice),
        44..52 => moving(&mut dice),
        _ => races(&mut dice),
    }
}

/// One of so many, because each needs handles of its own that are kept.
fn config(dice: &mut Dice, idle: &[u64]) -> Config {
    let number = dice.below(CONFIGS);
    let (mut dice, mut further) = (Dice(number), Dice(!number));
    let dice = &mut dice;
    let layout = dice.weighted(&[
        (60, Layout::Native),
        (10, Layout::Keep),
        (10, Layout::Move),
        (20, Layout::Flask),
    ]);
    let shared = matches!(layout, Layout::Keep | Layout::Move);
    let idle = dice.of(idle);
    Config {
        layout,
        signed: shared || dice.permille(150),
        refresh: dice.of(&[
            Use::OnChange,
            Use::WhenDue,
            Use::WhenDue,
            Use::EveryAccess,
            Use::EveryRequest,
        ]),
        permanent: dice.permille(800),
        idle,
        absolute: dice
            .permille(250)
            .then(|| dice.of(&[idle / 2 + 1, idle * 3, idle * 4])),
        anonymous: dice.permille(60),
        limit: None,
        moving: None,
        rotation: (layout == Layout::Native && further.permille(300)).then_some(1),
    }
}

fn seeds(dice: &mut Dice, config: Config, most: usize) -> Vec<Seed> {
    let mut browsers = 0;
    (0..=dice.index(most))
        .map(|_| {
            let browser = if browsers > 0 && dice.permille(150) {
                dice.index(browsers)
            } else {
                browsers
            };
            browsers = browsers.max(browser + 1);
            let shared = matches!(config.layout, Layout::Keep | Layout::Move);
            let flask = shared && dice.permille(500);
            Seed {
                browser,
                user: (!flask && dice.permille(750))
                    .then(|| dice.weighted(&[(6, 0), (2, 1), (1, 2)])),
                flask,
                stale: false,
                lowered: config.layout != Layout::Flask && !flask && dice.permille(80),
                lifetime: dice
                    .permille(60)
                    .then(|| dice.of(&[config.idle / 2 + 1, config.idle * 3])),
            }
        })
        .collect()
}

/// Requests beside each other.
fn races(dice: &mut Dice) -> Program {
    let config = config(dice, &[1000, 100_000, 100, 20]);
    let seeds = seeds(dice, config, 3);
    let browsers = seeds
        .iter()
        .map(|it| it.browser)
        .max()
        .map_or(1, |it| it + 1);
    let newcomers = usize::from(dice.permille(100));
    let count = 1 + dice.index(4);
    let requests: Vec<_> = (0..count)
        .map(|_| {
            let browser = if dice.permille(600) {
                0
            } else {
                dice.index(browsers + newcomers)
            };
            request(dice, config, browser)
        })
        .collect();
    let schedule = schedule(dice, count);
    Program {
        config,
        seeds,
        requests,
        schedule,
        dropped_calls_arrive: dice.permille(100),
    }
}

/// A renewal whose outcome is unknown for a while, in which others go on with the session: rare in
/// a program without a plan.
fn unknown_renewal(dice: &mut Dice) -> Program {
    let mut program = races(dice);
    let renewal = dice.of(&[Step::Renew, Step::LogIn(0), Step::LogIn(1)]);
    let beside = dice.of(&[
        &[Step::LogOut][..],
        &[Step::EndAllOf(0)],
        &[Step::Everywhere { keep: false }],
        // It follows the renewal, and then knows the new record, but not its id.
        &[Step::Mark, Step::Save, Step::Renew],
        &[Step::Mark, Step::Save, Step::LogIn(1)],
    ]);
    program.seeds[0].browser = 0;
    program.requests.truncate(2);
    for (number, steps) in [&[renewal], beside].into_iter().enumerate() {
        if program.requests.len() == number {
            program.requests.push(request(dice, program.config, 0));
        }
        let request = &mut program.requests[number];
        request.browser = 0;
        request.open = Open::First;
        request.steps = steps.to_vec();
    }
    let (one, other) = (Turn::Run(0, Behaviour::Fine), Turn::Run(2, Behaviour::Fine));
    // Both are loaded, the new record is inserted, and the answer to the old one's tombstone is
    // lost.
    program.schedule = vec![one, other, one, other, one];
    program.schedule.push(Turn::Run(0, Behaviour::ErrorAfter));
    program.schedule.extend([one, one]);
    for _ in 0..dice.index(16) {
        program.schedule.push(match dice.below(30) {
            0 => Turn::Damage(dice.index(5)),
            1 => Turn::Later(dice.index(5)),
            2 => Turn::Evict(dice.index(5)),
            _ => other,
        });
    }
    let confirmed = dice.weighted(&[(6, Behaviour::Fine), (1, Behaviour::ErrorBefore)]);
    program.schedule.push(Turn::Run(0, confirmed));
    program
}

/// Logins of a user who may have one or two sessions, most of them with a browser of their own.
fn limited(dice: &mut Dice) -> Program {
    let mut program = races(dice);
    let most = 1 + dice.index(2);
    program.config.layout = Layout::Native;
    program.config.limit = Some(Limit {
        most,
        refuses: dice.permille(500),
    });
    let mut left = [most; USERS.len()];
    for seed in &mut program.seeds {
        seed.flask = false;
        seed.user = seed.user.filter(|user| {
            let fits = left[*user] > 0;
            left[*user] -= usize::from(fits);
            fits
        });
    }
    for (number, request) in program.requests.iter_mut().enumerate() {
        if dice.permille(300) {
            continue;
        }
        if dice.permille(600) {
            request.browser = program.seeds.len() + number;
        }
        request.open = Open::First;
        request
            .steps
            .insert(0, Step::LogIn(dice.weighted(&[(5, 0), (1, 1)])));
        if dice.permille(500) {
            request.steps.insert(1, Step::Save);
        }
    }
    program
}

/// Logins that an identity provider vouches for, and its back-channel log-outs.
fn from_provider(dice: &mut Dice) -> Program {
    let mut program = if dice.permille(300) {
        limited(dice)
    } else {
        races(dice)
    };
    program.config.layout = Layout::Native;
    for seed in &mut program.seeds {
        seed.flask = false;
    }
    for request in &mut program.requests {
        let start = dice.weighted(&[
            (3, None),
            (4, Some(Step::LogInFrom(0))),
            (3, Some(Step::EndFrom(0))),
        ]);
        if let Some(start) = start {
            request.open = Open::First;
            request.steps.insert(0, start);
            request.steps.insert(1, Step::Save);
        }
        for step in request.steps.iter_mut().chain(&mut request.task) {
            match *step {
                Step::LogIn(user) if dice.permille(500) => *step = Step::LogInFrom(user),
                Step::EndAllOf(user) if dice.permille(500) => *step = Step::EndFrom(user),
                _ => {}
            }
        }
    }
    program
}

/// Sessions that move to another store meanwhile.
fn moving(dice: &mut Dice) -> Program {
    let mut program = match dice.below(4) {
        0 => limited(dice),
        1 => unknown_renewal(dice),
        _ => races(dice),
    };
    program.config.layout = Layout::Native;
    program.config.moving = Some(dice.of(&[Moves::Both, Moves::One, Moves::Back]));
    for seed in &mut program.seeds {
        seed.flask = false;
    }
    for request in &mut program.requests {
        if request.open == Open::First && dice.permille(400) {
            let place = dice.index(request.steps.len() + 1);
            request.steps.insert(place, Step::Carry);
        }
    }
    program
}

/// A rotation whose answer is lost or fails, beside other requests, and one that comes later with
/// whatever cookie the browser has.
fn lost_rotation(dice: &mut Dice) -> Program {
    let mut program = races(dice);
    program.config = Config {
        layout: Layout::Native,
        absolute: None,
        anonymous: false,
        idle: 1000,
        rotation: Some(1),
        ..program.config
    };
    let user = dice.permille(500).then_some(0);
    program.seeds = vec![Seed {
        browser: 0,
        user,
        flask: false,
        stale: false,
        lifetime: None,
        lowered: false,
    }];
    let step = |dice: &mut Dice| {
        let steps = [Step::Mark, Step::Count, Step::Save, Step::Read, Step::Pause];
        dice.of(&steps)
    };
    program.requests = (0..3)
        .map(|number| Request {
            browser: 0,
            process: dice.index(2),
            open: Open::First,
            steps: (0..dice.index(3)).map(|_| step(dice)).collect(),
            task: Vec::new(),
            after: (0..dice.index(2)).map(|_| step(dice)).collect(),
            answer_lost: number < 2 && dice.permille(500),
        })
        .collect();
    program.schedule = vec![Turn::Run(0, Behaviour::Fine), Turn::Run(2, Behaviour::Fine)];
    for _ in 0..dice.index(8) {
        let behaviour = dice.weighted(&[
            (12, Behaviour::Fine),
            (1, Behaviour::ErrorBefore),
            (1, Behaviour::ErrorAfter),
            (1, Behaviour::LostAfter),
            (1, Behaviour::Late),
        ]);
        program
            .schedule
            .push(Turn::Run(2 * dice.index(2), behaviour));
    }
    if dice.permille(200) {
        program.schedule.push(Turn::Crash(0));
    }
    let pause = dice.of(&[1, 15, 61]);
    program
        .schedule
        .extend([Turn::All(0), Turn::All(1), Turn::Late]);
    program.schedule.extend([Turn::Pass(pause), Turn::All(2)]);
    program
}

fn request(dice: &mut Dice, config: Config, browser: usize) -> Request {
    let open = dice.weighted(&[(86, Open::First), (8, Open::AfterHead), (6, Open::Never)]);
    let mut steps = |most: usize| -> Vec<Step> { (0..most).map(|_| step(dice, config)).collect() };
    let (mut handler, mut task, mut after) = (steps(6), steps(3), steps(3));
    handler.truncate(dice.index(7));
    task.truncate(if dice.permille(150) {
        1 + dice.index(3)
    } else {
        0
    });
    let streams = open == Open::AfterHead || dice.permille(200);
    after.truncate(if streams { 1 + dice.index(3) } else { 0 });
    if open != Open::First {
        handler.clear();
        task.clear();
    }
    Request {
        browser,
        process: dice.index(2),
        open,
        steps: handler,
        task,
        after,
        answer_lost: dice.permille(30),
    }
}

fn step(dice: &mut Dice, config: Config) -> Step {
    let user = dice.weighted(&[(6, 0), (3, 1), (1, 2)]);
    let polls = u8::try_from(dice.below(5)).expect("a small number");
    let lifetime = dice.of(&[None, Some(config.idle / 2 + 1), Some(config.idle * 2)]);
    dice.weighted(&[
        (10, Step::Mark),
        (14, Step::Count),
        (6, Step::Put),
        (4, Step::Flash),
        (3, Step::TakeFlashes),
        (3, Step::Remove),
        (3, Step::Clear),
        (12, Step::Save),
        (6, Step::SaveDropped(polls)),
        (2, Step::SaveHeld(polls)),
        (6, Step::Reload),
        (8, Step::Renew),
        (2, Step::Extend),
        (9, Step::LogIn(user)),
        (6, Step::LogOut),
        (2, Step::Everywhere { keep: true }),
        (3, Step::Everywhere { keep: false }),
        (2, Step::EndOne(usize::from(polls) % 3)),
        (1, Step::EndAllOf(user)),
        (1, Step::List),
        (2, Step::Lifetime(lifetime)),
        (2, Step::Permanent(polls > 1)),
        (2, Step::Wait([1, 10, 61, 95, 40][usize::from(polls)])),
        (4, Step::Pause),
        (4, Step::Read),
        (1, Step::Reenter),
    ])
}

fn schedule(dice: &mut Dice, requests: usize) -> Vec<Turn> {
    let length = dice.index(32);
    let sorts = [dice.permille(500), dice.permille(120), dice.permille(80)];
    let (evicts, damages, crashes, sets, passes) = (
        dice.permille(60),
        dice.permille(60),
        dice.permille(60),
        dice.permille(100),
        dice.permille(250),
    );
    let mut request = 0;
    // An outage is several failures in a row.
    let outage = dice.permille(150);
    let mut failures = match sorts.iter().filter(|it| **it).count() {
        _ if !sorts[0] => 0,
        _ if outage => 4,
        count => count,
    };
    let mut chance = 150;
    (0..length)
        .map(|_| {
            if dice.permille(450) {
                request = dice.index(requests);
            }
            let rare = dice.below(100);
            match rare {
                0..=2 if evicts => return Turn::Evict(dice.index(5)),
                3..=8 if damages => return Turn::Damage(dice.index(5)),
                9..=12 if damages => return Turn::Later(dice.index(5)),
                3..=4 if crashes => return Turn::Crash(request),
                5..=8 if sets => return Turn::Clock(dice.of(&[-1000, -100, -5, 5, 100, 1000])),
                9..=13 if passes => return Turn::Pass(dice.of(&[1, 5, 15, 61, 95, 700])),
                14..=15 => return Turn::Late,
                16 => return Turn::Sweep,
                _ => {}
            }
            let behaviour = if failures > 0 && dice.permille(chance) {
                failures -= 1;
                chance = if outage { 800 } else { chance };
                dice.weighted(&[
                    (3, Behaviour::ErrorBefore),
                    (3, Behaviour::ErrorAfter),
                    (2, Behaviour::LostBefore),
                    (2, Behaviour::LostAfter),
                    (2, Behaviour::Slow(300)),
                    (1, Behaviour::Slow(900)),
                    (3, Behaviour::Late),
                    (1, Behaviour::Taken),
                ])
            } else {
                Behaviour::Fine
            };
            Turn::Run(2 * request + usize::from(dice.permille(120)), behaviour)
        })
        .collect()
}

/// Users who come again and again, one request after the other, more often than the idle timeout.
fn clicks(dice: &mut Dice) -> Program {
    let years = 20 * 365 * 86_400;
    let config = config(dice, &[10, 20, 60, 900, 172_800, years]);
    let mut seeds = seeds(dice, config, 2);
    if dice.permille(80) {
        seeds[0].browser = 0;
        let stale = Seed {
            user: Some(1),
            flask: false,
            stale: true,
            lowered: false,
            lifetime: None,
            ..seeds[0]
        };
        seeds.insert(0, stale);
    }
    let browsers = seeds
        .iter()
        .map(|it| it.browser)
        .max()
        .map_or(1, |it| it + 1);
    let count = 3 + dice.index(9);
    let requests: Vec<_> = (0..count).map(|_| click(dice, config, browsers)).collect();
    let steps = dice.permille(150);
    let mut program = Program {
        config,
        seeds,
        requests,
        schedule: Vec::new(),
        dropped_calls_arrive: false,
    };
    let idle = program.shortest_idle().min(400 * 86_400);
    let step = if steps { idle / 20 } else { 0 };
    let longest = (idle * 9 / 10).saturating_sub(3 + 2 * step).max(1);
    for request in 0..count {
        let gap = match dice.below(4) {
            0 => longest,
            1 => idle / 20 + 1,
            _ => 1 + dice.below(longest),
        };
        let pause = if dice.permille(40) {
            // And then for once too late.
            program.longest_idle() + 10 + 4 * step
        } else {
            gap.min(longest)
        };
        program.schedule.push(Turn::Pass(pause));
        if step > 0 && (request == 1 || request == 2) {
            let by = i64::try_from(step).expect("no idle timeout is so long");
            program.schedule.push(Turn::Clock(dice.of(&[by, -by])));
        }
        if dice.permille(150) {
            program.schedule.push(Turn::Sweep);
        }
        program.schedule.push(Turn::All(request));
    }
    program
}

fn click(dice: &mut Dice, config: Config, browsers: usize) -> Request {
    let open = dice.weighted(&[(94, Open::First), (3, Open::AfterHead), (3, Open::Never)]);
    let polls = u8::try_from(dice.below(5)).expect("a small number");
    let lifetime = dice.of(&[None, Some(config.idle / 2 + 1), Some(config.idle * 2)]);
    let mut steps: Vec<Step> = (0..dice.index(4))
        .map(|_| {
            let user = dice.index(2);
            dice.weighted(&[
                (20, Step::Mark),
                (20, Step::Count),
                (8, Step::Put),
                (3, Step::Flash),
                (2, Step::TakeFlashes),
                (6, Step::Save),
                (3, Step::SaveDropped(polls)),
                (6, Step::Reload),
                (6, Step::Renew),
                (4, Step::LogIn(user)),
                (1, Step::LogOut),
                (1, Step::Everywhere { keep: true }),
                (2, Step::Lifetime(lifetime)),
                (2, Step::Permanent(polls > 1)),
                (2, Step::Wait(1)),
                (5, Step::Read),
            ])
        })
        .collect();
    if config.refresh == Use::OnChange || dice.permille(300) {
        steps.push(dice.of(&[Step::Mark, Step::Count, Step::Put]));
    }
    let after = match dice.below(20) {
        0 => vec![Step::Count, Step::Save],
        1 => vec![Step::Reload, Step::Mark, Step::Save],
        2 => vec![Step::Put],
        _ => Vec::new(),
    };
    Request {
        browser: if dice.permille(850) {
            0
        } else {
            dice.index(browsers)
        },
        process: dice.index(2),
        open,
        steps: if open == Open::First {
            steps
        } else {
            Vec::new()
        },
        task: Vec::new(),
        after,
        answer_lost: false,
    }
}
