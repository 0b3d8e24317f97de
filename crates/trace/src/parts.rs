//! The parts of a trace: each run writes its own, and no other's.

use crate::fold::millis;
use crate::{Node, NodeStatus, NodeType};
use jiff::{SignedDuration, Timestamp};

impl Node {
    /// Puts the part of a run into the tree of its trace: `part` is the run's own tree, as
    /// [`Fold`](crate::Fold) makes it. What the run has had there before is replaced where it stood; the other runs'
    /// nodes stay as they are. The same part put twice is there once.
    pub fn put_run(&mut self, run: &str, part: Self) {
        self.stretch(part.start_time, part.duration_ms);
        // Nodes without a run are those of other writers.
        let is_own = |node: &Self| !run.is_empty() && node.run == run;
        let place = self.children.iter().position(is_own).unwrap_or(self.children.len());
        self.children.retain(|node| !is_own(node));
        self.children.splice(place..place, part.children);
        self.follow_runs();
    }

    /// Says of a run that nobody works on it any more and nobody knows how it ended. Nothing else of it is changed.
    pub fn kill_run(&mut self, run: &str) {
        for child in &mut self.children {
            if child.run == run && child.is_running() {
                let end = child.start_time.and_then(|start| after(start, child.duration_ms));
                if child.error.is_empty() {
                    KILLED.clone_into(&mut child.error);
                }
                child.kill(end);
            }
        }
        self.follow_runs();
    }

    /// The runs whose end is not written, in order.
    pub fn running(&self) -> Vec<&str> {
        let mut runs: Vec<&str> = Vec::new();
        for child in self.children.iter().filter(|child| child.is_running()) {
            if !child.run.is_empty() && !runs.contains(&child.run.as_str()) {
                runs.push(&child.run);
            }
        }
        runs
    }

    /// True while its end is not written.
    pub fn is_running(&self) -> bool {
        self.status == Some(NodeStatus::Running)
    }

    /// Says how the trace has ended: with this error, if there is one. From now on it is nobody's but its owner's
    /// to say how it stands, whatever its runs do.
    pub fn end(&mut self, at: Timestamp, error: Option<String>) {
        self.run.clear();
        self.status = error.is_some().then_some(NodeStatus::Failed);
        self.error = error.unwrap_or_default();
        self.stretch(Some(at), 0);
    }

    /// True if [`end`](Self::end) can still be said of it: it was started and has not ended, or no one has started
    /// it and it is its runs'.
    pub fn is_open(&self) -> bool {
        self.is_running() || !self.run.is_empty()
    }

    /// A trace that nobody has started stands as its runs do: one of them is at work, or as the last one has ended.
    fn follow_runs(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let last = self.children.iter().rfind(|child| child.node_type == NodeType::Phase);
        self.status = match self.children.iter().any(Self::is_running) {
            true => Some(NodeStatus::Running),
            false => last.and_then(|phase| phase.status.clone()),
        };
    }

    /// Makes the trace last from its own begin or the part's, whichever is earlier, to the later end of both.
    fn stretch(&mut self, start: Option<Timestamp>, duration_ms: i64) {
        let Some(start) = start else {
            self.duration_ms = self.duration_ms.max(duration_ms);
            return;
        };
        // A file of the Go program says how long it has lasted and not when: until now, as far as anybody knows.
        let own = self.start_time.or_else(|| after(start, self.duration_ms.saturating_neg()));
        let own = own.unwrap_or(start);
        let end = after(own, self.duration_ms).max(after(start, duration_ms));
        let begin = own.min(start);
        self.duration_ms = end.map_or(self.duration_ms, |end| millis(begin, end));
        self.start_time = Some(begin);
    }

    fn kill(&mut self, end: Option<Timestamp>) {
        if !self.is_running() && self.node_type != NodeType::ToolCall {
            return;
        }
        if self.is_running() {
            self.status = Some(NodeStatus::Killed);
            if let (Some(start), Some(end)) = (self.start_time, end) {
                self.duration_ms = self.duration_ms.max(millis(start, end));
            }
        }
        // A file that can be read is not deep.
        self.children.iter_mut().for_each(|child| child.kill(end));
    }
}

/// What a phase says whose run was killed before it could say anything.
const KILLED: &str = "killed before its end was written";

fn after(start: Timestamp, ms: i64) -> Option<Timestamp> {
    start.checked_add(SignedDuration::from_millis(ms)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn node(run: &str, name: &str, status: Option<NodeStatus>) -> Node {
        let (run, agent_name) = (run.to_owned(), name.to_owned());
        Node { run, agent_name, status, node_type: NodeType::Phase, ..Node::default() }
    }

    /// The tree of a run with these phases, from `start` to `end`.
    fn part(run: &str, names: &[&str], (start, end): (i64, i64)) -> Node {
        let running = (!names.is_empty()).then_some(NodeStatus::Running);
        Node {
            run: run.to_owned(),
            start_time: Some(at(start)),
            duration_ms: end - start,
            children: names.iter().map(|name| node(run, name, running.clone())).collect(),
            ..Node::default()
        }
    }

    fn names(tree: &Node) -> Vec<&str> {
        tree.children.iter().map(|node| node.agent_name.as_str()).collect()
    }

    #[test]
    fn a_run_replaces_its_own_nodes_where_they_stand_and_no_others() {
        let mut tree = Node { children: vec![node("", "go", None)], ..Node::default() };
        tree.put_run("a", part("a", &["a1"], (10, 20)));
        tree.put_run("b", part("b", &["b1"], (15, 40)));
        tree.put_run("a", part("a", &["a1", "a2"], (10, 30)));
        tree.put_run("", part("", &["none"], (10, 30)));
        assert_eq!(names(&tree), ["go", "a1", "a2", "b1", "none"]);
    }

    #[test]
    fn a_trace_lasts_from_the_first_begin_to_the_last_end_however_often_a_part_is_put() {
        let mut tree = Node { start_time: Some(at(100)), duration_ms: 50, ..Node::default() };
        for _ in 0..3 {
            tree.put_run("a", part("a", &["a"], (120, 130)));
            assert_eq!((tree.start_time, tree.duration_ms), (Some(at(100)), 50));
        }
        tree.put_run("b", part("b", &["b"], (90, 200)));
        assert_eq!((tree.start_time, tree.duration_ms), (Some(at(90)), 110));
        // Without a begin, as the Go program writes it.
        let mut tree = Node { duration_ms: 50, ..Node::default() };
        for _ in 0..3 {
            tree.put_run("a", part("a", &["a"], (120, 130)));
            assert_eq!((tree.start_time, tree.duration_ms), (Some(at(70)), 60));
        }
        let mut tree = Node { duration_ms: i64::MAX, ..Node::default() };
        tree.put_run("a", part("a", &["a"], (120, i64::MAX)));
        assert!(tree.duration_ms > 0);
    }

    #[test]
    fn a_killed_run_says_so_and_the_others_stand_as_they_did() {
        let mut phase = node("a", "a", Some(NodeStatus::Running));
        (phase.start_time, phase.duration_ms) = (Some(at(100)), 50);
        let call = |status| Node {
            node_type: NodeType::ToolCall,
            start_time: Some(at(120)),
            duration_ms: 1,
            status,
            ..Node::default()
        };
        let mut done = call(None);
        done.children.push(call(Some(NodeStatus::Running)));
        phase.children = vec![done, call(Some(NodeStatus::Failed))];
        let other = node("b", "b", Some(NodeStatus::Running));
        let mut tree = Node { children: vec![phase, other.clone()], ..Node::default() };
        assert_eq!(tree.running(), ["a", "b"]);
        tree.kill_run("a");
        assert_eq!(tree.running(), ["b"]);
        let phase = &tree.children[0];
        assert_eq!((phase.status.clone(), &*phase.error), (Some(NodeStatus::Killed), KILLED));
        let inner = &phase.children[0].children[0];
        assert_eq!((inner.status.clone(), inner.duration_ms), (Some(NodeStatus::Killed), 30));
        assert_eq!((&phase.children[0].status, phase.children[0].duration_ms), (&None, 1));
        assert_eq!(phase.children[1].status, Some(NodeStatus::Failed));
        assert_eq!(tree.children[1], other);
    }

    #[test]
    fn a_trace_that_was_started_is_open_until_it_is_ended_whatever_its_runs_do() {
        let begun = Some(NodeStatus::Running);
        let mut tree = Node { status: begun.clone(), start_time: Some(at(100)), ..Node::default() };
        let mut ended = part("a", &["a"], (110, 120));
        ended.children[0].status = Some(NodeStatus::Failed);
        tree.put_run("a", ended.clone());
        assert!(tree.is_open() && tree.status == begun);
        tree.end(at(150), None);
        assert_eq!((tree.is_open(), &tree.status, tree.duration_ms), (false, &None, 50));
        tree.put_run("b", part("b", &["b"], (160, 170)));
        assert_eq!((tree.is_open(), &tree.status, tree.duration_ms), (false, &None, 70));

        // One that nobody has started stands as its runs.
        let mut own = Node { children: Vec::new(), ..part("a", &["a"], (110, 120)) };
        own.put_run("a", part("a", &["a"], (110, 120)));
        assert_eq!(own.status, begun);
        own.put_run("a", ended);
        assert_eq!(own.status, Some(NodeStatus::Failed));
        own.end(at(150), Some("no luck".into()));
        assert_eq!((own.is_open(), own.error.as_str()), (false, "no luck"));
    }
}
