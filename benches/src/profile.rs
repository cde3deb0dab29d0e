//! Where the instructions of a request go: `bench profile`.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command, time::Duration};

use session_tests::{Memcached, RedisServer, scratch_dir};

use crate::{
    Result,
    candidate::Candidate,
    contest::Contest,
    contestant::Contestant,
    plan::{Plan, Row},
    route::Route,
};

const VISITORS: usize = 64;
/// A request under callgrind takes some fifty times as long.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(8);
/// Parts that are smaller than this share of a request are printed together.
const SMALLEST_SHARE: f64 = 0.01;

/// Instructions by the package that they were compiled from.
type Parts = BTreeMap<String, f64>;

/// Prints the instructions of a request by package, for each program in Actix Web on this store.
/// Instructions, because they are the same on a busy machine. The kernel's are not among them.
pub(crate) async fn print(plan: Plan, contest: &Contest) -> Result<()> {
    match contest {
        Contest::Redis => {
            let server = RedisServer::start(&[]).await;
            let url = server.url();
            print_candidate(plan, Candidate::Bare, &[Route::Read], &url).await?;
            for candidate in [
                Candidate::ByHand,
                Candidate::OursRedis,
                Candidate::ActixSession,
            ] {
                print_candidate(plan, candidate, &Route::MEASURED, &url).await?;
            }
        }
        Contest::Memcached => {
            let server = Memcached::start(&[]).await;
            for candidate in [Candidate::ByHandMemcached, Candidate::OursMemcached] {
                print_candidate(plan, candidate, &Route::MEASURED, &server.addr()).await?;
            }
        }
        Contest::Files => {
            for candidate in [Candidate::ByHandFiles, Candidate::OursFiles] {
                let directory = scratch_dir();
                let below = directory.path().join("sessions").display().to_string();
                print_candidate(plan, candidate, &Route::MEASURED, &below).await?;
            }
        }
        _ => return Err("only Redis, memcached and files have a profile".into()),
    }
    Ok(())
}

async fn print_candidate(
    plan: Plan,
    candidate: Candidate,
    routes: &[Route],
    address: &str,
) -> Result<()> {
    for route in routes {
        let parts = of_a_request(plan, candidate, *route, address).await?;
        print_parts(candidate, *route, &parts);
    }
    Ok(())
}

/// The difference between many requests and few, so that starting and stopping do not count.
async fn of_a_request(plan: Plan, candidate: Candidate, route: Route, url: &str) -> Result<Parts> {
    let (few, before) = counted(plan, candidate, route, url, SHORT).await?;
    let (many, mut parts) = counted(plan, candidate, route, url, LONG).await?;
    let requests = f64::from(many) - f64::from(few);
    for (part, instructions) in &mut parts {
        let before = before.get(part).copied().unwrap_or_default();
        *instructions = (*instructions - before) / requests;
    }
    Ok(parts)
}

/// The requests that a program answered in its whole life, and the instructions that it took.
async fn counted(
    plan: Plan,
    candidate: Candidate,
    route: Route,
    url: &str,
    lasts: Duration,
) -> Result<(u32, Parts)> {
    let directory = scratch_dir();
    let file = directory.path().join("callgrind.out");
    let mut program = Command::new("valgrind");
    program
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe()?);
    let row = Row::of(VISITORS);
    let mut contestant = Contestant::start(candidate, program, url, plan, row).await?;
    let answers = contestant.load().run(route, lasts).await?;
    contestant.end()?;
    Ok((answers.number, parts(&fs::read_to_string(file)?)))
}

/// Reads callgrind's file: the instructions of each function itself, by package.
fn parts(report: &str) -> Parts {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    let mut parts = Parts::new();
    let mut package = String::new();
    let mut is_of_callee = false;
    for line in report.lines() {
        if let Some(file) = ["fl=", "fi=", "fe="]
            .iter()
            .find_map(|it| line.strip_prefix(it))
        {
            // A file has a number, and its name where it stands for the first time.
            let (number, name) = file.split_once(' ').unwrap_or((file, ""));
            if !name.is_empty() {
                files.insert(number, package_of(name));
            }
            package = files.get(number).cloned().unwrap_or_default();
        } else if let Some(file) = line.strip_prefix("cfi=").or(line.strip_prefix("cfl=")) {
            if let Some((number, name)) = file.split_once(' ') {
                files.insert(number, package_of(name));
            }
        } else if line.starts_with("calls=") {
            is_of_callee = true;
        } else if line.starts_with(|it: char| it.is_ascii_digit() || "+-*".contains(it)) {
            let own = line
                .rsplit_once(' ')
                .and_then(|it| it.1.parse::<f64>().ok());
            if !is_of_callee {
                *parts.entry(package.clone()).or_default() += own.unwrap_or_default();
            }
            is_of_callee = false;
        }
    }
    parts
}

/// The package that a source file belongs to.
fn package_of(file: &str) -> String {
    let file = Path::new(file);
    let names: Vec<_> = file.iter().filter_map(|it| it.to_str()).collect();
    let after = |folder: &str| {
        let at = names.iter().position(|name| *name == folder)?;
        names[at + 1..].first().copied()
    };
    if let Some(at) = names.iter().position(|name| *name == "registry") {
        let package = names.get(at + 3).copied().unwrap_or_default();
        let name = package.rsplit_once('-').map_or(package, |(name, _)| name);
        return name.to_owned();
    }
    match (after("crates"), after("library"), after("benches")) {
        (Some(ours), _, _) => ours.to_owned(),
        (_, Some(_), _) => "std".to_owned(),
        (_, _, Some(_)) => "the program itself".to_owned(),
        _ => "libc".to_owned(),
    }
}

fn print_parts(candidate: Candidate, route: Route, parts: &Parts) {
    let all: f64 = parts.values().sum();
    println!(
        "\n{}, {}: {all:.0} instructions",
        candidate.name(),
        route.name()
    );
    let mut sorted: Vec<_> = parts.iter().collect();
    sorted.sort_by(|one, other| other.1.total_cmp(one.1));
    let mut rest = all;
    for (part, instructions) in sorted {
        if *instructions >= all * SMALLEST_SHARE {
            println!("  {instructions:>7.0}  {part}");
            rest -= instructions;
        }
    }
    println!("  {rest:>7.0}  all others");
}
