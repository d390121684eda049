//! The calls that wait: when each is answered, and what it is told meanwhile.

use super::core::{Action, Server};
use super::open::{Awaits, Call, Progress};
use super::watched::Watched;
use crate::mcp::Revision;
use crate::rpc;
use crate::task::Id;

impl Server {
    /// Keeps a call until its time has come, which may be now.
    pub(super) fn await_it(&mut self, call: Call) {
        // first, because a task that cannot be watched may turn out to have ended
        self.watch(call.awaits.tasks());
        self.calls.push(call);
        let last = self.calls.len();
        self.answer_calls_from(last - 1, |_| true);
    }

    /// Whether what a call waits for has come.
    pub(super) fn is_done(&self, awaits: &Awaits) -> bool {
        let begun = |id: &Id| self.tasks.get(*id).is_none_or(Watched::has_begun);
        let ended = |id: &Id| self.tasks.get(*id).is_none_or(Watched::is_final);
        let late = awaits.deadline().is_some_and(|deadline| self.now.steady >= deadline);
        match awaits {
            Awaits::Start(id) => begun(id),
            Awaits::Wait { ids, any: true, .. } => late || ids.is_empty() || ids.iter().any(ended),
            _ => late || awaits.tasks().iter().all(ended),
        }
    }

    /// Answers a call whose time has come.
    fn finish(&mut self, call: &Call) {
        for id in call.awaits.tasks() {
            if let Some(task) = self.tasks.get_mut(*id) {
                task.catch_up();
            }
        }
        if call.asked.client.takes_tasks && self.hand_out_started(call) {
            return;
        }
        let result = self.answer(&call.awaits);
        self.give(&call.asked, &result);
    }

    /// Answers the calls that waited for this task, as far as their time has come.
    pub(super) fn settle(&mut self, id: Id) {
        self.answer_calls(|call| call.awaits.tasks().contains(&id));
    }

    /// Answers those of the calls that `concern` chooses whose time has come.
    pub(super) fn answer_calls(&mut self, concern: impl Fn(&Call) -> bool) {
        self.answer_calls_from(0, concern);
    }

    /// The same from a place in the list of calls on.
    fn answer_calls_from(&mut self, from: usize, concern: impl Fn(&Call) -> bool) {
        let calls = self.calls.split_off(from);
        let mut due = Vec::new();
        for call in calls {
            let late = call.hand_out.is_some_and(|moment| moment <= self.now.steady);
            if concern(&call) && (late || self.is_done(&call.awaits)) {
                due.push(call);
            } else {
                self.calls.push(call);
            }
        }
        for mut call in due {
            if self.is_done(&call.awaits) {
                self.finish(&call);
            } else if !self.hand_out(&call) {
                call.hand_out = None;
                self.calls.push(call);
            }
        }
    }

    /// Tells progress where it is due.
    pub(super) fn tell_progress(&mut self) {
        let mut calls = std::mem::take(&mut self.calls);
        for call in &mut calls {
            let revision = call.asked.client.revision;
            if let Some(progress) = call.progress.as_mut().filter(|p| p.due() <= self.now.steady) {
                self.tell_progress_of(call.awaits.tasks(), progress, revision);
            }
        }
        self.calls = calls;
    }

    /// Tells the progress of a call about these tasks.
    fn tell_progress_of(&mut self, ids: &[Id], progress: &mut Progress, revision: Revision) {
        let Some(id) = self.busy(ids, progress.news) else { return };
        let Some(task) = self.tasks.get_mut(id) else { return };
        if !task.ours {
            task.reread(&self.store);
            task.catch_up();
        }
        let plan = task.transcript.plan;
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let several = (ids.len() > 1).then(|| (count(self.done(ids)), count(ids.len())));
        let steps = several.or(plan).filter(|(done, all)| done < all);
        progress.step(steps.map(|(done, _)| done), self.now.steady);
        // a plan that came late, or lost steps, may have fewer than were counted
        let total = steps.map(|(_, all)| all).filter(|all| progress.is_within(*all));
        let line = rpc::notification("notifications/progress", |o| {
            o.raw("progressToken", &progress.token).raw("progress", &progress.number());
            if let Some(total) = total {
                o.int("total", total);
            }
            if revision >= Revision::V2025_03_26 {
                o.str("message", &self.doing(ids, id));
            }
        });
        self.act(Action::Progress(line));
    }

    /// Of these tasks the one to tell of: this one, or else the first, that has not ended.
    pub(super) fn busy(&self, ids: &[Id], rather: Option<Id>) -> Option<Id> {
        let mut all = rather.into_iter().chain(ids.iter().copied());
        let busy = all.find(|id| self.tasks.get(*id).is_some_and(|task| !task.is_final()));
        busy.or(ids.first().copied())
    }

    /// How many of these tasks have ended.
    fn done(&self, ids: &[Id]) -> usize {
        ids.iter().filter(|id| self.tasks.get(**id).is_none_or(Watched::is_final)).count()
    }

    /// What these tasks are doing, in one line: how many have ended, and what this one is at.
    pub(super) fn doing(&self, ids: &[Id], about: Id) -> String {
        let doing = self.view(about).map(|view| view.in_short()).unwrap_or_default();
        match ids.len() {
            0 | 1 => doing,
            all => format!("{} of {all} done; {doing}", self.done(ids)),
        }
    }
}
