//! Every limit that belay puts on a queue, a buffer or a wait, with the reason for its size.

use std::time::Duration;

/// The longest line that is read whole. Codex prints 1 MiB of tool output in one line, up to six times that
/// when it is escaped; ten times more is room for what agents will print next year.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// How many notices a result repeats: they are for a person who reads one line of it.
pub const RESULT_WARNINGS_MAX: usize = 20;

/// How large an image of a request may be: no provider takes a larger one.
pub const IMAGE_BYTES_MAX: u64 = 20 << 20;

/// How long an agent's own server may take to accept a connection: it is on this machine.
pub const CONNECT: Duration = Duration::from_secs(5);

/// How much is read from a pipe at once: what a pipe holds on Linux.
pub const READ_BYTES: usize = 64 << 10;

/// How many reads wait for the loop that makes events of them: 4 MiB at most. It is behind only when the processor
/// is, and then the agent may wait.
pub const READS_MAX: usize = 64;

/// How many records wait in memory for a reader of a run: more than one read of a pipe gives, so that a reader who
/// is just being woken reads no file. Behind them the journal is the queue.
pub const FEED_RECORDS_MAX: usize = 1024;

/// How much these records may weigh before no other is taken in: a few long tool results, and little beside what
/// one line of an agent needs.
pub const FEED_BYTES_MAX: usize = 4 << 20;

/// How much of the journal is read back at once for a reader who has fallen behind: enough to make the way to the
/// disk cheap.
pub const FEED_PIECE_BYTES: usize = 1 << 20;

/// How long an ordinary event may be in the system's memory only: what a loss of power may cost.
pub const SYNC_AFTER: Duration = Duration::from_secs(1);

/// How many records wait for a slow observer: a few seconds of the busiest agent.
pub const OBSERVER_QUEUE_MAX: usize = 1024;

/// How much these records may weigh: a few long tool results.
pub const OBSERVER_BYTES_MAX: usize = 8 << 20;

/// How much of what is never dropped for others (begins, results, completions) waits for an observer that takes
/// nothing any more: beyond that the oldest goes too, since a program may run for months.
pub const OBSERVER_KEPT_BYTES_MAX: usize = 64 << 20;

/// How many characters of a service's own words about an error are quoted: a sentence or two, in one line.
#[cfg(feature = "http")]
pub const QUOTED_CHARS_MAX: usize = 300;

/// How much is read of a file with root certificates: the bundles of systems have some 200 KB.
#[cfg(feature = "http")]
pub const ROOTS_BYTES_MAX: u64 = 16 << 20;

/// How many files are read of a folder with root certificates: those of systems have some 300, each under two names.
#[cfg(feature = "http")]
pub const ROOTS_FILES_MAX: usize = 4096;

/// How much of a service's answer is read: what an observer wants to know stands in its first bytes.
#[cfg(feature = "http")]
pub const HTTP_BYTES_MAX: u64 = 1 << 20;

/// How long a service is left alone at most when it asks for more: a run that is longer wants to be told of.
#[cfg(feature = "http")]
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10 * 60);

/// How long one message to people may take: services answer within a second.
#[cfg(feature = "http")]
pub const NOTIFY_REQUEST: Duration = Duration::from_secs(5);

/// How much longer than one message a test of a channel may take: once more after a short wait.
#[cfg(feature = "http")]
pub const NOTIFY_TEST: Duration = Duration::from_secs(5);

/// How long is waited at most after messages have failed, again and again: a service that is back is noticed soon.
#[cfg(feature = "http")]
pub const NOTIFY_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How many notices wait for a channel before the oldest of progress goes: minutes at one a second.
#[cfg(feature = "http")]
pub const NOTICES_MAX: usize = 256;

/// How many results and errors wait before the oldest goes: a program may run for months beside a service that is gone.
#[cfg(feature = "http")]
pub const NOTICES_KEPT_MAX: usize = 4096;

/// How many notices stand in one message: with a title and a text each, half of the 50 blocks that Slack takes.
#[cfg(feature = "http")]
pub const NOTICES_MERGED_MAX: usize = 12;

/// How long an agent's words in a notice may be: people read the rest in the trace.
#[cfg(feature = "http")]
pub const NOTICE_BODY_MAX: usize = 8000;

/// How long the message of a run's tools stays as it is: Slack lets 50 a minute be edited, for all runs together.
#[cfg(feature = "http")]
pub const EDIT_PAUSE: Duration = Duration::from_secs(3);

/// How long before the end of a run's patience a program that tells somebody is ended: it has children to end too.
#[cfg(feature = "webhook")]
pub const EXEC_END: Duration = Duration::from_millis(100);

/// How long a text may be that is a variable of such a program. Linux takes 128 KiB.
#[cfg(feature = "webhook")]
pub const EXEC_TEXT_MAX: usize = 8000;

/// How many runs and traces are known at once to those who tell people of them.
#[cfg(feature = "http")]
pub const NOTIFY_RUNS_MAX: usize = 4096;
/// How much waits to be sent to one service: what thousands of spans take, for an outage of some minutes.
#[cfg(feature = "http")]
pub const SENDER_BYTES_MAX: usize = 8 << 20;

/// How many losses are told of one by one.
#[cfg(feature = "http")]
pub const SENDER_ERRORS_MAX: usize = 5;

/// How long one thing is tried to be sent. What is older than that is in the journal.
#[cfg(feature = "http")]
pub const SENDER_PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long is waited before the first second try; it doubles.
#[cfg(feature = "http")]
pub const SENDER_PAUSE: Duration = Duration::from_secs(1);

/// How long a service may take for one request, unless it is told otherwise.
#[cfg(feature = "http")]
pub const SENDER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many spans go in one request: what collectors take without a thought.
#[cfg(feature = "otlp")]
pub const OTLP_BATCH_MAX: usize = 512;

/// How long a finished span waits for others.
#[cfg(feature = "otlp")]
pub const OTLP_DELAY: Duration = Duration::from_secs(5);

/// How many events a span has at most, as with OpenTelemetry's own libraries; more are counted.
#[cfg(feature = "otlp")]
pub const OTLP_EVENTS_MAX: usize = 128;

/// How much of a text goes into one attribute: backends cut or refuse more.
#[cfg(feature = "otlp")]
pub const OTLP_TEXT_BYTES_MAX: usize = 32 << 10;

/// How many tool calls of a run Freeplay is told of, and how much of what each was told and has said: they wait in
/// memory until the run has ended.
#[cfg(feature = "freeplay")]
pub const FREEPLAY_TOOLS_MAX: usize = 1000;

/// See [`FREEPLAY_TOOLS_MAX`].
#[cfg(feature = "freeplay")]
pub const FREEPLAY_TEXT_BYTES_MAX: usize = 8 << 10;

/// How many errors of one observer a run keeps: the first ones say what is wrong, the rest are counted.
pub const OBSERVER_ERRORS_MAX: usize = 10;

/// How long a run waits for its observers at its end.
pub const OBSERVER_FLUSH: Duration = Duration::from_secs(2);

/// How long a trace file is left alone after it was written, unless a phase or an attempt begins or ends: whoever
/// looks at it looks again.
pub const TRACE_PAUSE: Duration = Duration::from_secs(2);

/// How many times as long as the writing of a trace file took it is left alone at least: a tree of 100,000 nodes takes
/// a second, and nobody wants to pay for it all the time.
pub const TRACE_SHARE: u32 = 20;

/// How much of an agent's standard error is kept in an attempt. Behind it only the last lines are heard, which may say
/// why it fails.
pub const STDERR_BYTES_MAX: u64 = 3 << 20;

/// How much of it is kept where its lines are short, so that the journal of a flood is at most 1.2 times as long as the
/// flood: their frames and events count as well.
pub const STDERR_SHORT_BYTES_MAX: u64 = 768 << 10;

/// How many of those lines, and how long each may be.
pub const STDERR_LAST_LINES: usize = 20;

/// How long an agent may live that has closed its standard output: it is about to end, or nothing more is heard of it.
pub const STDOUT_CLOSED: Duration = Duration::from_secs(3);

/// How many reports of commands in terminals wait for the loop: each command has one or two at a time.
pub const TERMINAL_REPORTS_MAX: usize = 64;

/// The longest line of such a command that is kept: as much as is kept of all its output.
pub const TERMINAL_LINE_BYTES_MAX: usize = 1 << 20;

/// How often such a command may show that it gets on, by printing something new: idle limits are minutes.
pub const TERMINAL_PROGRESS: Duration = Duration::from_secs(1);

/// How long all of them may take to be ended with the attempt: of the two seconds that somebody waits who insists, the
/// sweep of one takes half of one.
pub const TERMINALS_END: Duration = Duration::from_secs(1);

/// How long the file that has the answer may take to be read.
pub const ANSWER_FILE: Duration = Duration::from_secs(10);

/// How long an agent's own interrupt may take. Claude and Codex need less than 0.1 s; a loaded machine more.
pub const STOP_NATIVE: Duration = Duration::from_secs(5);

/// How long SIGINT may take. Claude needs up to 1.5 s to end its tools and print its result.
pub const STOP_SIGINT: Duration = Duration::from_secs(3);

/// How long after a SIGINT the next one comes to a program that takes more than one.
pub const SIGINT_AGAIN: Duration = Duration::from_millis(300);

/// How long SIGTERM may take.
pub const STOP_SIGTERM: Duration = Duration::from_secs(3);

/// How long each rung may take when belay itself is told to end: docker kills after 10 s, and three rungs and
/// the kill are less.
pub const STOP_SHUTDOWN: Duration = Duration::from_secs(2);

/// How long a rung may take for somebody who has asked twice.
pub const STOP_INSISTED: Duration = Duration::from_secs(1);

/// How long a killed agent may take to be gone. One that hangs in the kernel is given up then.
pub const STOP_KILL: Duration = Duration::from_secs(2);

/// How long an agent may live on after the end of its turn: it saves its session. Longer is a hang
/// (anthropics/claude-code#25629).
pub const LINGER: Duration = Duration::from_secs(10);

/// The same for an agent that is about to report what it has run in the background: it waits for its hooks, or for a
/// busy machine. Claude Code 2.1.329 begins such a turn within a second.
pub const REPORT: Duration = Duration::from_secs(2 * 60);

/// How long the pipes are waited for after the agent is gone: what was printed is in them already, and a program
/// that the agent left behind may hold them open for ever.
pub const DRAIN: Duration = Duration::from_secs(1);

/// How long what the agent has printed is still read for somebody who has asked twice to stop: of the two seconds that
/// this may take, the agent has one, and the sweep of what it left behind half of one.
pub const DRAIN_INSISTED: Duration = Duration::from_millis(300);

/// How many more reads of the pipes are taken in after the agent is gone than were waiting then, if that takes
/// longer than [`DRAIN`]: sixteen empty the largest pipe that Linux gives to anybody, and a program left behind
/// could fill it for ever.
pub const DRAIN_READS_MAX: usize = 64;

/// How long an agent may take to say what it is and to open a session: a cold start of Python or Node, and no longer
/// than a person waits.
pub const INSPECTION: Duration = Duration::from_secs(10);

/// How long an agent may take to say its version: a cold start from a slow disk takes seconds.
pub const VERSION: Duration = Duration::from_secs(10);

/// How often an agent itself may try a request again when another one could go on instead. Two, because Claude Code
/// 2.1.329 takes its fallback model at the third 529.
pub const AGENT_RETRIES: u32 = 2;

/// How long an agent that says nothing of its retries may wait for a response before that is said: most responses begin
/// within seconds, and a provider may have told it to wait for an hour.
pub const SILENCE: Duration = Duration::from_secs(30);

/// How many runs are looked at for the latest session of a folder: some days of a busy machine.
pub const LATEST_RUNS_MAX: usize = 1000;

/// How long that may take; the journals may be on a disk that hangs.
pub const LATEST_LOOK: Duration = Duration::from_secs(5);

/// How long an agent's program may take to check what it is given to run: it loads a file, and may look for a registry.
pub const TRIAL: Duration = Duration::from_secs(20);

/// How much longer than announced an agent's own retry may take.
pub const RETRY_SLACK: Duration = Duration::from_secs(30);

/// How many responses in a row may be without a word or a tool call: agents try an empty response again a few
/// times, and OpenCode 1.18.33 without end.
pub const EMPTY_TURNS_MAX: u32 = 20;

/// How many responses in a row may break off and be asked for again at once: OpenCode 1.18.33 does so without end,
/// five times a second; agents that count give up long before.
pub const BROKEN_TURNS_MAX: u32 = 30;

/// How often in a row the same tool call may have the same result: whoever waits for a build asks for its state
/// some dozens of times.
pub const SAME_CALLS_MAX: u32 = 100;

/// How many calls, responses and requests of an agent are remembered to know a repetition: more than any run has, in
/// a megabyte or two. After so many it begins anew.
pub const SEEN_MAX: usize = 100_000;

/// How late we may look at what is due before that means that belay itself stood still, and not the agent.
pub const LATE: Duration = Duration::from_secs(2);

/// How long a driver's timer is put off for what the agent has said before it ran out: it is read next.
pub const UNREAD: Duration = Duration::from_millis(1);

/// The longest line that a run listens to: a steering text of many pages.
pub const CONTROL_LINE_BYTES_MAX: usize = 1 << 20;

/// How long a run waits after each thing that it was told, and after each read: a flood of either then costs
/// it next to nothing, and nobody who types notices.
pub const CONTROL_PACE: Duration = Duration::from_millis(10);

/// How long somebody who speaks to a run waits for it to listen.
pub const CONTROL_PATIENCE: Duration = Duration::from_secs(5);

/// How long a wait for a time of day sleeps before it looks at the clock again: a machine that was suspended, or
/// whose clock was set, finds out this soon.
pub const WALL_CLOCK: Duration = Duration::from_secs(30);

/// How long an agent's prompt may wait until belay has looked at the folder, so that it can tell what was changed if
/// another agent has to go on: a tenth of a second is not noticed. What takes longer goes on beside the agent.
pub const LOOK_BEFORE_PROMPT: Duration = Duration::from_millis(100);

/// How long an agent of a chain may be kept waiting while belay looks at what was changed. What takes longer is told
/// as not known.
pub const LOOK: Duration = Duration::from_secs(10);

/// How long a thread looks at a folder before it gives up by itself: a million files on a slow disk.
pub const LOOK_MAX: Duration = Duration::from_secs(60);

/// How long git may take for one answer out of its objects: it has a second's work at most.
pub const GIT: Duration = Duration::from_secs(3);

/// How often is looked whether a folder was looked at.
pub const LOOK_POLL: Duration = Duration::from_millis(1);

/// How many responses of an attempt are priced one by one; what is beyond is priced as a sum. Nobody has seen an
/// attempt with a tenth of it.
pub const RESPONSES_MAX: usize = 10_000;

/// How long an agent's other witness may take to say how a silent turn stands: a few questions to a program on this
/// machine, or the reading of a file.
pub const WITNESS: Duration = Duration::from_secs(15);

/// How much of what a session's files have gained is taken in at once: the answer is at the end.
pub const WITNESS_BYTES_MAX: u64 = 16 << 20;

/// How long an agent's own account of a session may take to be found and read: it is a file on this machine.
pub const ACCOUNT: Duration = Duration::from_secs(5);

/// How much of such an account is read, from its end: a turn of hours is some megabytes.
pub const ACCOUNT_BYTES_MAX: u64 = 32 << 20;

/// How many entries of folders are looked at to find it: ten years of a hundred sessions a day.
pub const ACCOUNT_ENTRIES_MAX: usize = 400_000;

/// How many helpers of a session are read, each from a file of its own: more than an agent runs at once.
pub const ACCOUNT_HELPERS_MAX: usize = 100;

/// How long an account that a limit depends on is left alone after the agent has said something: by then the agent
/// has written it down.
pub const ACCOUNT_PAUSE: Duration = Duration::from_millis(500);

/// How many times as long as it took to read it is left alone at least: a limit must not cost a core.
pub const ACCOUNT_SHARE: u32 = 20;

/// How long a breaker is believed at most: the longest window of any plan is a week.
pub const BREAKER_EXPIRES: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// How long others leave an account alone whose login was refused although it has answered within minutes: a login that two
/// processes renew at once is one that works.
pub const BREAKER_LOGIN_RACE: Duration = Duration::from_secs(60);

/// How long the one run that tries whether an account works again keeps the others waiting: agents say within
/// seconds that they are limited, and whoever is at work for longer is not.
pub const BREAKER_PROBE: Duration = Duration::from_secs(60);

/// How long is waited for the lock of the breakers, which is held for a write of a few hundred bytes.
pub const BREAKER_LOCK: Duration = Duration::from_secs(1);

/// How much is read of a breaker's file: what belay writes is less than a tenth.
pub const BREAKER_BYTES_MAX: u64 = 64 << 10;

/// How long a run waits for the disk that its session's lock is on: it goes on without a lock then, and says so.
pub const SESSION_LOCK: Duration = Duration::from_secs(1);

/// How long the lock of a session is tried while nobody says that he has it: whoever looks whether it is free holds
/// it for microseconds.
pub const SESSION_LOCK_LOOK: Duration = Duration::from_millis(250);

/// How often a run that waits for a session looks whether it is free.
pub const SESSION_QUEUE: Duration = Duration::from_millis(100);

/// How long a run waits for the agent of a killed one to end: its supervisor needs two seconds, and as much again
/// for a loaded machine.
pub const SESSION_LEFT_BEHIND: Duration = Duration::from_secs(4);

/// How many files of a folder of locks are looked at: more runs than a machine has at work.
pub const LOCK_ENTRIES_MAX: usize = 4096;

/// How much of such a file is read: what belay writes is some hundred bytes.
pub const LOCK_BYTES_MAX: u64 = 64 << 10;

/// How long such a file stays that a killed run has left, and that nobody has asked for since.
pub const LOCK_EXPIRES: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a program is waited for that has worked in this run and is gone: an updater is replacing it. npm takes a few
/// seconds.
pub const REPLACED: Duration = Duration::from_secs(10);

/// How often it is looked for.
pub const REPLACED_LOOK: Duration = Duration::from_millis(200);
