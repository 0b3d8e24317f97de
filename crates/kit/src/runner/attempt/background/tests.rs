use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

fn task(id: &str, task_kind: TaskKind, parent: Option<&str>) -> BackgroundTask {
    BackgroundTask {
        task_id: id.to_owned(),
        task_kind,
        description: format!("do {id}"),
        tool_id: Some(ToolId(format!("tool-{id}"))),
        parent_task_id: parent.map(str::to_owned),
    }
}

fn list(tasks: &[BackgroundTask], waiting: bool) -> BackgroundTasks {
    BackgroundTasks { tasks: tasks.to_vec(), waiting, ..BackgroundTasks::default() }
}

fn waits_for(tasks: Vec<BackgroundTask>, now: Instant) -> Background {
    let mut background = Background::new(Some(LIMIT));
    background.told(&list(&tasks, false), now);
    background.turn_ended(now);
    background.told(&list(&tasks, true), now);
    background
}

#[test]
fn nothing_is_open_once_the_turn_and_all_tasks_have_ended() {
    let now = Instant::now();
    let mut background = Background::new(Some(LIMIT));
    assert!(background.works() && background.is_busy());
    background.turn_ended(now);
    assert!(!background.is_busy());

    let mut background = waits_for(vec![task("a", TaskKind::Subagent, None)], now);
    assert!(background.is_busy() && !background.works());
    background.told(&BackgroundTasks::default(), now);
    assert!(!background.is_busy());
    background.turn_opened();
    assert!(background.is_busy() && background.works());
}

#[test]
fn a_command_is_warned_of_and_then_waited_for_no_longer() {
    let now = Instant::now();
    let mut background = waits_for(vec![task("b", TaskKind::Command, None)], now);
    assert_eq!(background.deadline(), Some(now + 10 * SECOND));
    assert_eq!(background.check(now + 9 * SECOND), None);
    let words = "the command `do b` still runs 10 s after the agent's turn; it is stopped in 20 s";
    assert_eq!(background.check(now + 10 * SECOND), Some(Verdict::Warn(words.into())));
    assert_eq!(background.check(now + 11 * SECOND), None);
    assert_eq!(background.deadline(), Some(now + LIMIT));
    assert!(matches!(background.check(now + LIMIT), Some(Verdict::GiveUp(_))));
    assert!(!background.is_busy() && background.has_given_up());
    assert_eq!(background.deadline(), None);
}

#[test]
fn a_subagent_is_stalled_when_it_no_longer_gets_on() {
    let now = Instant::now();
    let mut background = waits_for(vec![task("a", TaskKind::Subagent, None)], now);
    background.progress(&"tool-a".into(), now + 25 * SECOND);
    assert_eq!(background.check(now + LIMIT), None);
    assert!(matches!(background.check(now + 35 * SECOND), Some(Verdict::Warn(_))));
    let words = "the subagent `do a` has shown no progress for 30 s";
    assert_eq!(background.check(now + 55 * SECOND), Some(Verdict::Stalled(words.into())));
}

#[test]
fn a_subagent_gets_on_when_one_below_it_does_and_not_when_another_does() {
    let now = Instant::now();
    let tasks = vec![
        task("a", TaskKind::Subagent, None),
        task("below", TaskKind::Subagent, Some("a")),
        task("other", TaskKind::Subagent, None),
    ];
    let mut background = waits_for(tasks, now);
    background.progress(&"tool-below".into(), now + 29 * SECOND);
    let Some(Verdict::Stalled(words)) = background.check(now + LIMIT) else { panic!("no verdict") };
    assert!(words.contains("`do other`"), "{words}");
    background.progress(&"tool-other".into(), now + 35 * SECOND);
    assert_eq!(background.deadline(), Some(now + 39 * SECOND));
    // The call of one that works in the foreground of a task is in no list.
    background.progress(&"tool-of-nobody".into(), now + 38 * SECOND);
    assert_eq!(background.deadline(), Some(now + 48 * SECOND));
}

#[test]
fn the_limit_rests_while_a_turn_runs_and_begins_anew_for_a_command() {
    let now = Instant::now();
    let mut background = waits_for(vec![task("b", TaskKind::Command, None)], now);
    background.turn_opened();
    let tasks = vec![task("b", TaskKind::Command, None)];
    background.told(&list(&tasks, false), now);
    assert_eq!((background.deadline(), background.check(now + 99 * SECOND)), (None, None));
    background.turn_ended(now + 99 * SECOND);
    assert_eq!(background.deadline(), Some(now + 109 * SECOND));
}

#[test]
fn tasks_that_are_not_listed_are_waited_for_too() {
    let now = Instant::now();
    let mut background = waits_for(vec![task("a", TaskKind::Subagent, None)], now);
    background.told(&BackgroundTasks { more: 900, ..list(&[], true) }, now);
    assert!(background.has_tasks() && !background.owes_report());
    // Whose progress it is, nobody knows.
    background.progress(&"tool-of-nobody".into(), now + 20 * SECOND);
    assert_eq!(background.deadline(), Some(now + 30 * SECOND));
    let Some(Verdict::Stalled(words)) = background.check(now + 50 * SECOND) else { panic!() };
    assert!(words.contains("`900 more`"), "{words}");
}

#[test]
fn a_report_is_owed_from_the_end_of_the_last_task_to_the_next_turn() {
    let now = Instant::now();
    let mut background = waits_for(vec![task("a", TaskKind::Subagent, None)], now);
    assert!(!background.owes_report());
    background.told(&BackgroundTasks::default(), now);
    assert!(background.owes_report() && !background.is_busy());
    background.turn_opened();
    assert!(!background.owes_report());
    // What has ended within a turn, that turn may have reported.
    let open = [task("b", TaskKind::Command, None)];
    background.told(&list(&open, false), now);
    background.told(&BackgroundTasks::default(), now);
    background.turn_ended(now);
    assert!(!background.owes_report());
}

#[test]
fn a_pause_does_not_count_and_without_a_limit_nothing_is_due() {
    let now = Instant::now();
    let mut background = waits_for(vec![task("a", TaskKind::Subagent, None)], now);
    background.shift(100 * SECOND);
    assert_eq!(background.check(now + 105 * SECOND), None);
    background.limit = None;
    assert_eq!((background.deadline(), background.check(now + 999 * SECOND)), (None, None));
}

#[test]
fn an_agent_that_ends_before_its_subagent_has_failed_and_one_before_its_command_has_not() {
    let now = Instant::now();
    let tasks = vec![task("a", TaskKind::Subagent, None), task("b", TaskKind::Command, None)];
    let kind = |background: &Background, exit| {
        background.cut_off("claude-code", exit).map(|failure| failure.kind)
    };
    let both = waits_for(tasks.clone(), now);
    assert_eq!(kind(&both, Exit::Code(0)), Some(FailureKind::Protocol));
    assert_eq!(kind(&both, Exit::Signal(9)), Some(FailureKind::Crashed));
    assert_eq!(kind(&waits_for(tasks[1..].to_vec(), now), Exit::Signal(9)), None);
}
