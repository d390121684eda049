//! What an attacker may try, what stops it, and which test shows that. The attacker writes the prompt,
//! the repository or what a task leaves, has another account on the machine, or is a task that got out
//! of its sandbox as far as the task directory.

use crate::tidy::read;
use std::collections::BTreeSet;

/// One attack: what is tried, what stops it, and the test, as `MODULE::NAME` or `src/FILE::NAME`.
type Row = [&'static str; 3];

/// Prompts, arguments and the protocol.
const CALLER: [Row; 15] = [
    [
        "a prompt that looks like an option, a command or a file",
        "it is codex's stdin, behind the word -",
        "prompts::prompts_that_look_like_something_else_are_prompts",
    ],
    [
        "reading a prompt in the list of processes",
        "it stands in a file of mode 600 alone",
        "prompts::no_prompt_can_be_seen_in_the_process_list_or_in_the_record",
    ],
    [
        "a model, profile or path that begins with a dash",
        "option and value are one word",
        "received::a_value_with_a_leading_dash_is_no_flag",
    ],
    [
        "a thread id such as --last",
        "only a UUID is one",
        "arguments::a_thread_id_is_a_uuid_and_nothing_else",
    ],
    [
        "a NUL in an argument that cuts it in two",
        "refused with its place",
        "arguments::a_nul_cannot_be_handed_to_a_program_and_is_refused_with_its_place",
    ],
    [
        "a string in config that passes for a table, a number or a flag of Codex",
        "strings go out as TOML strings",
        "received::config_values_keep_their_json_type_as_toml",
    ],
    [
        "a key of config with a = or an option in it",
        "only plain keys are keys",
        "src/codex/command.rs::what_makes_no_sense_is_named_with_its_cure",
    ],
    [
        "a reply that widens the sandbox of an unknown thread",
        "read-only unless somebody says otherwise",
        "threads::a_thread_that_is_not_known_here_is_resumed_read_only_and_that_is_told",
    ],
    [
        "a configured reviewer that lets a read-only task out",
        "the reviewer is set to the user",
        "src/codex/command.rs::a_task_that_may_be_read_only_has_no_silent_reviewer",
    ],
    [
        "a worktree-base that is an option of git",
        "--end-of-options, and only a commit counts",
        "worktree::what_cannot_be_is_refused_with_gits_reason_and_leaves_nothing",
    ],
    [
        "JSON nested until the stack is full",
        "a depth beyond which it is refused",
        "syntax::nesting_is_read_to_a_depth_and_refused_beyond_without_a_crash",
    ],
    [
        "a line without an end that fills the memory",
        "it is given up at 16 MB",
        "syntax::a_line_that_never_ends_is_given_up_and_the_next_one_is_read",
    ],
    [
        "a client that asks and never reads",
        "it is not read while it owes that",
        "rpc::a_client_that_does_not_read_is_held_back_and_later_answered_in_full",
    ],
    [
        "a resource URI that leads out of the directory",
        "only ids make paths",
        "resources::what_does_not_exist_is_not_found_and_is_no_way_out_of_the_directory",
    ],
    [
        "an argument hidden behind another of its name",
        "the last counts, for the check and for the use",
        "syntax::of_arguments_with_one_name_the_last_counts",
    ],
];

/// What a task leaves in its worktree, and git.
const WORKTREE: [Row; 17] = [
    [
        "a .git that leads to a repository with hooks",
        "git is told its directory outright",
        "hostile::a_worktree_whose_git_file_was_replaced_leads_us_nowhere",
    ],
    [
        "a repository inside of the worktree with filters",
        "git is kept out of it",
        "hostile::nested_repositories_are_not_run",
    ],
    [
        "a submodule that became another repository",
        "submodules are kept out of",
        "hostile::a_submodule_of_the_repository_that_became_an_evil_one_is_not_run",
    ],
    [
        "attributes that have a filter run a script of the task",
        "only filters known to be harmless run",
        "hostile::attributes_of_the_task_run_no_program_of_the_task",
    ],
    [
        "links to files of the user's in the worktree",
        "links are committed as links",
        "hostile::links_lead_nothing_out_of_the_worktree_or_into_it",
    ],
    [
        "a cwd that became a link to outside",
        "each directory on the way is looked at",
        "hostile::a_cwd_that_became_a_link_to_outside_is_no_place_to_go_on_in",
    ],
    [
        "another worktree or repository in place of the worktree",
        "branch and place must be the task's",
        "hostile::a_worktree_that_became_something_else_is_not_taken_for_it",
    ],
    [
        "a FIFO where git reads a file",
        "it is refused before git opens it",
        "hostile::pipes_in_place_of_files_hold_nothing_up",
    ],
    [
        "hooks and aliases planted in the repository itself",
        "hooks and the like are off for our git",
        "hostile::what_a_task_planted_in_the_repository_itself_is_not_run_by_us",
    ],
    [
        "a hook that the configuration names, without a file",
        "it is off by its event and by its name",
        "hostile::hooks_that_the_configuration_names_are_off_by_event_and_by_name",
    ],
    [
        "a filter whose name cannot be given to git",
        "it is refused",
        "hostile::a_filter_whose_name_is_no_text_does_not_run",
    ],
    [
        "more configuration than is read, so that no filter is found",
        "then git is not started",
        "hostile::filters_that_cannot_all_be_listed_do_not_run",
    ],
    [
        "a missing object that an old git fetches by a command",
        "no protocol is allowed",
        "hostile::a_git_that_fetches_what_is_missing_runs_no_command_for_it",
    ],
    [
        "a git in the worktree, with . on PATH",
        "relative entries of PATH are left out",
        "hostile::a_path_with_places_in_the_worktree_finds_nothing_there",
    ],
    [
        "GIT_DIR and its like in the environment",
        "they are taken out",
        "hostile::gits_variables_in_the_servers_environment_change_nothing",
    ],
    [
        "a .worktreeinclude that is copied through a link to outside",
        "no directory on the way may be a link",
        "worktree::a_copy_never_goes_through_a_link_of_the_base_to_outside",
    ],
    [
        "a first line of the prompt that forges the trailers of the commit",
        "the subject is one line",
        "commits::a_prompt_cannot_pass_for_the_trailers_and_needs_no_first_line",
    ],
];

/// Records that were written by somebody else.
const RECORDS: [Row; 14] = [
    [
        "a record with pid 0, 1, -1, a group, ours, our parent's or one too large",
        "one function decides what may be signalled",
        "src/sys.rs::only_one_other_process_can_be_meant_by_a_pid",
    ],
    [
        "such a record, and a cancel by hand",
        "there is no such process",
        "cancel_by_hand::pids_that_could_hit_others_are_no_supervisors",
    ],
    [
        "a pid that another process has by now",
        "start time and boot are compared, behind a pidfd",
        "identity::a_process_that_was_given_the_id_of_a_dead_one_is_no_task",
    ],
    [
        "a record from before a reboot",
        "the boot is compared",
        "identity::a_process_of_another_start_or_another_boot_is_no_task",
    ],
    [
        "a supervisor that is any process of the user's, start time and all",
        "its command line must be that of the task's supervisor",
        "forged::a_process_that_is_no_supervisor_is_not_told_to_end_though_its_identity_is_right",
    ],
    [
        "a codex that is any process of the user's, start time and all",
        "it must carry the mark of the task",
        "forged::a_process_that_is_no_codex_is_not_ended_with_what_a_dead_supervisor_left",
    ],
    [
        "a codex that is another task's",
        "it carries another mark",
        "forged::the_mark_of_one_task_is_none_of_another",
    ],
    [
        "a reply in a worktree that is the user's checkout",
        "path, branch and git directory must be a task's",
        "forged::a_reply_works_in_no_worktree_that_a_record_makes_up",
    ],
    [
        "a base that is an option of git",
        "it must be a commit's full name",
        "src/task/worktree/mod.rs::only_a_worktree_of_a_task_of_ours_is_ours",
    ],
    [
        "a base that makes the clean-up delete a branch with work",
        "only what another ref has is deleted",
        "forged::a_branch_with_work_stays_whatever_a_record_calls_its_base",
    ],
    [
        "a git directory of another checkout",
        "its name must be the worktree's",
        "forged::the_clean_up_touches_no_data_of_git_that_are_not_of_the_worktree",
    ],
    [
        "worktrees and branches of the user's in old records",
        "nothing but a task's own is removed",
        "retention::a_record_cannot_make_us_touch_what_is_not_ours",
    ],
    [
        "a record, transcript or stderr that is a link",
        "it is opened without following",
        "files::a_link_in_the_place_of_a_file_is_not_followed",
    ],
    [
        "a FIFO in place of a record",
        "it is opened without waiting",
        "guards::a_pipe_in_place_of_a_record_holds_nobody_up",
    ],
];

/// A neighbour with an account of his own.
const NEIGHBOUR: [Row; 10] = [
    [
        "a task directory that others may look into",
        "refused with its mode",
        "files::a_task_directory_that_others_could_write_is_refused_with_its_name",
    ],
    [
        "a loose umask",
        "modes are set when files are made",
        "files::files_are_for_the_user_alone_whatever_the_umask",
    ],
    [
        "an open directory anywhere above the state",
        "every directory above is looked at",
        "neighbour::a_state_that_others_can_replace_is_refused_however_far_above",
    ],
    [
        "a directory above that a group may write to",
        "refused, unless the group is the user's own",
        "neighbour::a_group_of_others_above_the_state_is_refused_and_one_of_the_user_alone_is_not",
    ],
    [
        "a link of the neighbour's in a sticky directory",
        "links on the way must be the user's or root's",
        "neighbour::a_directory_or_a_link_of_somebody_else_above_the_state_is_refused",
    ],
    [
        "records in such a directory, read by a command",
        "commands look as servers do",
        "neighbour::the_commands_do_not_believe_such_a_state_either",
    ],
    [
        "records in a directory that was opened while a server ran",
        "each method looks again",
        "guards::records_that_others_could_have_written_are_not_believed_by_any_method",
    ],
    [
        "a worktree directory that can be replaced",
        "refused before git is asked",
        "neighbour::a_worktree_directory_that_others_can_replace_is_refused_too",
    ],
    [
        "a log that is a link to a file of the user's",
        "not opened, and that is said",
        "neighbour::a_log_that_is_a_link_or_anothers_is_not_written_and_that_is_said",
    ],
    [
        "a repository of somebody else",
        "git's own refusal is heeded",
        "worktree::a_repository_of_somebody_else_or_at_an_unspeakable_path_is_refused",
    ],
];

/// What a task may use, and leaves running.
const TASK: [Row; 11] = [
    [
        "descriptors and locks that the server was started with",
        "nothing but three streams survives the exec",
        "inherited::a_task_gets_three_descriptors_and_no_lock_that_the_server_was_started_with",
    ],
    [
        "a grandchild that keeps the slot or the worktree of its task",
        "locks are the supervisor's alone",
        "inherited::what_a_task_leaves_running_holds_no_slot_and_no_worktree",
    ],
    [
        "signals that are ignored, so that a cancel is not heard",
        "they are set to their defaults",
        "inherited::a_task_has_the_signals_by_default_and_the_umask_as_it_was",
    ],
    [
        "a mark of another task in the environment",
        "it is replaced",
        "inherited::codex_gets_the_environment_of_the_server_and_one_variable_more",
    ],
    [
        "temporary files in place of another task's",
        "a task in a worktree has a TMPDIR of its own",
        "temporary::each_task_has_one_of_its_own_as_long_as_it_runs",
    ],
    [
        "a tree in TMPDIR that cannot be removed, or leads elsewhere",
        "nothing is followed, and no depth is too deep",
        "temporary::whatever_a_task_leaves_in_it_goes_and_nothing_else",
    ],
    [
        "a .codex made where another task has ended, that opened the sandbox",
        "tasks that share a directory share the TMPDIR by which Codex knows",
        "temporary::the_sandbox_of_a_task_stays_closed_when_another_one_ends_in_the_same_directory",
    ],
    [
        "a link in place of TMPDIR",
        "it is no directory",
        "temporary::a_link_in_its_place_or_in_place_of_all_is_not_followed",
    ],
    [
        "a process in a session of its own that outlives a cancel",
        "the mark is looked for until none is left",
        "deaths::with_its_supervisor_codex_ends_and_all_its_descendants_and_the_verdict_says_why",
    ],
    [
        "a grandchild that never stops printing",
        "the output is closed soon after codex ended",
        "limits::a_grandchild_that_never_stops_printing_does_not_hold_up_the_result",
    ],
    [
        "something else on the protocol's stdout",
        "one place writes to it",
        "inherited::nothing_but_the_loop_and_the_commands_writes_to_stdout",
    ],
];

/// Callers of a locked server.
const LOCKED: [Row; 15] = [
    [
        "a call that asks a locked server for more than its flags say",
        "every tool refuses it, and names the flag",
        "locked::what_is_wider_than_the_flags_is_refused_by_every_tool_with_the_name_of_the_flag",
    ],
    [
        "a Codex configuration that is wider than a locked server",
        "what is left out is said outright",
        "locked::what_is_narrower_or_harmless_is_passed_on_and_the_rest_is_said_outright",
    ],
    [
        "a sandbox mode wider than the ceiling, or one that is none",
        "modes are compared by their width",
        "src/codex/bounds.rs::the_sandbox_is_the_servers_or_narrower_and_is_always_said",
    ],
    [
        "an approval policy by which a command leaves the sandbox",
        "never, or the server's own",
        "src/codex/bounds.rs::nobody_is_asked_for_approval_unless_the_server_says_so",
    ],
    [
        "a profile, or a key of config that starts a program",
        "three harmless keys pass, and only strings",
        "src/codex/bounds.rs::only_harmless_keys_of_config_pass_and_no_profile",
    ],
    [
        "a path that leaves the roots by .. or by a link",
        "paths are resolved once, and passed on so",
        "src/codex/bounds.rs::paths_are_resolved_before_they_are_looked_at_and_stay_so",
    ],
    [
        "an image or a further directory outside, with a cwd inside",
        "every path is held to the roots",
        "src/codex/bounds.rs::every_path_lies_below_a_root",
    ],
    [
        "/a/bc where /a/b is a root",
        "names are compared whole",
        "src/roots.rs::a_root_holds_itself_and_what_is_below_by_whole_names",
    ],
    [
        "a directory that becomes a link while its task waits",
        "what is entered is compared with what was checked",
        "locked::what_is_swapped_between_the_check_and_the_start_is_not_entered",
    ],
    [
        "a repository below a root whose git directory lies elsewhere",
        "both are held to the roots",
        "locked::a_repository_that_lies_elsewhere_gets_no_worktree_however_it_is_hidden",
    ],
    [
        "a worktree that is swapped before a reply goes on in it",
        "looked at once more, and entered without a link",
        "locked::a_reply_does_not_enter_what_its_worktree_or_repository_was_swapped_for",
    ],
    [
        "a reply to a thread that an unlocked server began",
        "what it takes over is held to the same",
        "locked::a_thread_is_one_that_ran_here_and_what_it_had_is_checked_like_what_is_given",
    ],
    [
        "a task that rewrites the record of one that waits",
        "no directory it may write to holds the records",
        "locked::no_task_may_write_to_the_records_of_tasks",
    ],
    [
        "a link in place of a worktree that is just being filled",
        "no directory it may write to holds the worktrees",
        "locked::no_task_may_write_to_the_place_of_all_worktrees",
    ],
    [
        "a repository made by a task, whose configuration has git run something",
        "it must be a root itself",
        "locked::a_repository_whose_git_directory_tasks_may_write_to_gets_no_worktree",
    ],
];

/// What is shown to a person or a client.
const SHOWN: [Row; 7] = [
    [
        "escape sequences in a prompt or a message, shown by ps",
        "control characters are left out",
        "ps::nothing_that_could_move_a_terminal_is_shown",
    ],
    [
        "the same in logs",
        "control characters are left out",
        "logs::nothing_that_could_move_a_terminal_is_shown",
    ],
    [
        "the same in what a wait prints",
        "control characters are left out",
        "logs::what_a_wait_prints_moves_no_terminal",
    ],
    [
        "the same in --raw, on a terminal",
        "they are left out there",
        "logs::raw_on_a_terminal_has_no_control_characters_but_newlines",
    ],
    [
        "the same in --json",
        "they are escaped",
        "ps::nothing_that_could_move_a_terminal_is_in_the_json",
    ],
    [
        "a secret in -c or config, in anything that is shown or logged",
        "values that may be secrets are hidden",
        "secrets::a_secret_reaches_codex_and_is_shown_nowhere",
    ],
    [
        "a secret in a file of the task directory",
        "it stands in the record alone",
        "secrets::on_disk_a_secret_stands_in_the_record_alone_which_is_the_users_alone",
    ],
];

/// Every row.
fn rows() -> Vec<Row> {
    [&CALLER[..], &LOCKED, &WORKTREE, &RECORDS, &NEIGHBOUR, &TASK, &SHOWN].concat()
}

#[test]
fn each_attack_is_stopped_by_something_that_a_test_shows() {
    let rows = rows();
    assert!(rows.len() >= 40, "{}", rows.len());
    for [attack, stop, test] in &rows {
        assert!(attack.len() > 9 && stop.len() > 9, "{attack}: {stop}");
        let (place, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test}: no name"));
        let unit = place.starts_with("src/");
        let text = read(&if unit { place.to_owned() } else { format!("tests/it/{place}.rs") });
        let indent = if unit { "    " } else { "" };
        let head = format!("{indent}#[test]\n{indent}fn {name}()");
        assert!(text.contains(&head), "{attack}: there is no test {test}");
    }
}

#[test]
fn no_attack_is_in_the_table_twice() {
    let rows = rows();
    let attacks: BTreeSet<&str> = rows.iter().map(|[attack, ..]| *attack).collect();
    assert_eq!(attacks.len(), rows.len());
    let tests: BTreeSet<&str> = rows.iter().map(|[.., test]| *test).collect();
    assert_eq!(tests.len(), rows.len(), "two rows that one test shows are one attack");
}
