//! Eight nodes in one process, half on each runtime: they gossip over real sockets about their favorite books.
//!
//! A terminal shows a live table of what each node knows of each other one; a pipe gets one line per event; a browser
//! gets the table as a page. With `--for` the program ends by itself, and succeeds only if all nodes agree.

mod board;
mod conductor;
mod http;
mod screen;

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::handle::Launch;
use crate::parse;
use crate::stop::asked_to_stop;
use board::{Board, in_words};
use conductor::{Conductor, Shared};

/// Time between a kill and a restart, and between a restart and the next kill.
const CHURN: Duration = Duration::from_millis(1_500);

/// How long the nodes may take to agree after the last change.
const PATIENCE: Duration = Duration::from_secs(15);

/// Real nodes in one process, gossiping about their favorite books.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Options {
    /// How many nodes
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=64))]
    nodes: u16,
    /// How often each node picks a new favorite book, on average
    #[arg(long, default_value = "3s", value_name = "DURATION", value_parser = parse::interval)]
    interval: Duration,
    /// Every node knows a random part of the others only
    #[arg(long)]
    sampled: bool,
    /// Kill and restart nodes all the while
    #[arg(long)]
    churn: bool,
    /// Stop changing after this time, wait until all agree, print a summary
    #[arg(long = "for", value_name = "DURATION", value_parser = parse::duration)]
    duration: Option<Duration>,
    /// Port of the dashboard on this machine; 0 lets the system choose
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    http: u16,
}

/// Runs a cluster with the options of the command line. The nodes take turns in `runtimes`, each a name and a way to
/// start a node.
pub fn main(runtimes: &[(&'static str, Launch)]) -> ExitCode {
    let options = Options::parse();
    crate::run(run(&options, runtimes))
}

async fn run(options: &Options, runtimes: &[(&'static str, Launch)]) -> Result<(), String> {
    let runtimes = || runtimes.iter().cycle().take(options.nodes.into());
    let shared = Shared::new(Board::new((1..).zip(runtimes().map(|&(name, _)| name))));
    let address = serve(options.http, shared.clone()).await?;
    let launches = runtimes().map(|&(_, launch)| launch).collect();
    let mut conductor = Conductor::start(launches, options, shared.clone()).await?;

    let stop = watch::Sender::new(false);
    let output = show(shared.clone(), format!("http://{address}"), stop.clone());
    let ended = perform(&mut conductor, options, stop.subscribe()).await;
    conductor.shutdown().await;
    stop.send_replace(true);
    output.await.map_err(|error| format!("the table failed: {error}"))??;
    sum_up(&shared, ended)
}

/// Serves the dashboard.
async fn serve(port: u16, shared: Shared) -> Result<SocketAddr, String> {
    let failed = |error| format!("cannot listen on TCP port {port} for HTTP: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(async move { axum::serve(listener, http::router(shared)).await });
    Ok(address)
}

/// How the show ended: nobody asked for agreement, or this is whether it was reached.
type Ended = Option<Result<(), String>>;

/// Churns until the time is over or somebody has seen enough.
async fn perform(
    conductor: &mut Conductor,
    options: &Options,
    mut stop: watch::Receiver<bool>,
) -> Result<Ended, String> {
    let over = async {
        match options.duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let asked = asked_to_stop();
    tokio::pin!(asked);
    loop {
        tokio::select! {
            () = &mut over => break,
            () = &mut asked => return Ok(None),
            _ = stop.changed() => return Ok(None),
            () = sleep(CHURN), if options.churn => conductor.churn().await?,
        }
    }
    tokio::select! {
        ended = conductor.settle(PATIENCE) => Ok(Some(ended)),
        () = &mut asked => Ok(None),
        _ = stop.changed() => Ok(None),
    }
}

/// Shows the board while it changes: as a table where that is possible, else line by line.
fn show(shared: Shared, address: String, stop: watch::Sender<bool>) -> JoinHandle<Result<(), String>> {
    if std::io::stdout().is_terminal() {
        return tokio::task::spawn_blocking(move || {
            screen::show(&shared, &address, &stop).map_err(|error| format!("the terminal failed: {error}"))
        });
    }
    tokio::spawn(async move {
        say(&format!("dashboard at {address}"));
        let mut told = 0;
        let mut stop = stop.subscribe();
        while !*stop.borrow() {
            let _ = tokio::time::timeout(Duration::from_millis(50), stop.changed()).await; // whichever comes first
            told = print_news(&shared, told);
        }
        Ok(())
    })
}

/// Prints what is new since `told` pieces of news, and returns how many there are now.
fn print_news(shared: &Shared, told: u64) -> u64 {
    let board = shared.board();
    let fresh = usize::try_from(board.news_count - told).unwrap_or(usize::MAX);
    for news in board.news.iter().skip(board.news.len().saturating_sub(fresh)) {
        say(&format!("{:>7.1}s {}", news.seconds, news.text));
    }
    board.news_count
}

/// What is left to say when the nodes have left.
fn sum_up(shared: &Shared, ended: Result<Ended, String>) -> Result<(), String> {
    let ended = ended?;
    let (board, at) = (shared.board(), shared.now());
    let time = |time: Option<Duration>| time.map_or_else(|| String::from("–"), in_words);
    let (spreads, arrivals) = (&board.spreads, &board.arrivals);
    say(&format!("{} nodes, {:.1} s", board.rows.len(), at.as_secs_f64()));
    say(&format!(
        "{} changes of favorites; until all knew: median {}, slowest {}",
        spreads.count,
        time(spreads.median()),
        time(spreads.slowest)
    ));
    say(&format!(
        "{} starts of nodes; until the new one knew all: median {}, slowest {}",
        arrivals.count,
        time(arrivals.median()),
        time(arrivals.slowest)
    ));
    match ended {
        None => Ok(()),
        Some(Ok(())) => {
            say("all nodes agree");
            Ok(())
        }
        Some(Err(disagreement)) => Err(format!("the nodes do not agree: {disagreement}")),
    }
}

/// Prints a line. A reader that went away is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let parse = |line: &str| Options::try_parse_from(std::iter::once("cluster").chain(line.split_whitespace()));
        assert!(parse("--nodes 16 --interval 500ms --churn --for 10s --http 8080").is_ok());
        assert!(parse("--interval 0").is_err(), "all time would go into picking favorites");
        for line in ["--nodes 1", "--nodes 65", "--for ever", "--http 70000", "--faster"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
