//! The answer as the client sees it: the server-sent events of the Responses API.

use std::io;
use std::net::TcpStream;

use crate::http;
use crate::json::{self, Object};
use crate::script::Usage;

/// An answer that is being written.
pub struct Events<'a> {
    /// The connection.
    stream: &'a TcpStream,
    /// The answer's id.
    id: String,
    /// The head is written: it is too late for an HTTP error.
    pub begun: bool,
    /// How many items the answer has.
    items: u32,
}

impl<'a> Events<'a> {
    /// An answer of which nothing is written yet.
    pub fn new(stream: &'a TcpStream, id: &str) -> Self {
        Self { stream, id: format!("resp_{id}"), begun: false, items: 0 }
    }

    /// Writes the head and the first event, once.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        http::write_stream_head(self.stream)?;
        self.response("response.created", |_| {})
    }

    /// A message of the assistant.
    pub fn message(&mut self, text: &str) -> io::Result<()> {
        self.half_message(text)?;
        let id = self.item_id("msg");
        self.item_done(|o| {
            o.str("type", "message").str("id", &id).str("role", "assistant");
            o.str("status", "completed").array("content", |a| {
                a.object(|o| {
                    o.str("type", "output_text").str("text", text).array("annotations", |_| {});
                });
            });
        })
    }

    /// A message that is not done.
    pub fn half_message(&mut self, text: &str) -> io::Result<()> {
        let id = self.item_id("msg");
        self.item_added(|o| {
            o.str("type", "message").str("id", &id).str("role", "assistant");
            o.str("status", "in_progress").array("content", |_| {});
        })?;
        let index = self.items;
        self.event("response.output_text.delta", |o| {
            o.str("item_id", &id).int("output_index", index).int("content_index", 0);
            o.str("delta", text);
        })
    }

    /// A thought, of which the client sees a summary.
    pub fn reasoning(&mut self, text: &str) -> io::Result<()> {
        let id = self.item_id("rs");
        self.item_added(|o| {
            o.str("type", "reasoning").str("id", &id).array("summary", |_| {});
        })?;
        let index = self.items;
        self.event("response.reasoning_summary_part.added", |o| {
            o.str("item_id", &id).int("output_index", index).int("summary_index", 0);
            o.object("part", |o| {
                o.str("type", "summary_text").str("text", "");
            });
        })?;
        self.event("response.reasoning_summary_text.delta", |o| {
            o.str("item_id", &id).int("output_index", index).int("summary_index", 0);
            o.str("delta", text);
        })?;
        self.item_done(|o| {
            o.str("type", "reasoning").str("id", &id).array("summary", |a| {
                a.object(|o| {
                    o.str("type", "summary_text").str("text", text);
                });
            });
            o.str("encrypted_content", "none");
        })
    }

    /// A call of a tool whose arguments are JSON.
    pub fn function_call(
        &mut self,
        call: &str,
        namespace: Option<&str>,
        name: &str,
        arguments: &str,
    ) -> io::Result<()> {
        let id = self.item_id("fc");
        self.whole_item(|o| {
            o.str("type", "function_call").str("id", &id).str("call_id", call);
            o.maybe_str("namespace", namespace);
            o.str("name", name).str("arguments", arguments);
        })
    }

    /// A search for tools, as the client makes it.
    pub fn tool_search(&mut self, call: &str, query: &str) -> io::Result<()> {
        let id = self.item_id("tsc");
        self.whole_item(|o| {
            o.str("type", "tool_search_call").str("id", &id).str("call_id", call);
            o.str("execution", "client").str("status", "completed").object("arguments", |o| {
                o.str("query", query);
            });
        })
    }

    /// A call of a tool that takes plain text.
    pub fn custom_call(&mut self, call: &str, name: &str, input: &str) -> io::Result<()> {
        let id = self.item_id("ctc");
        self.whole_item(|o| {
            o.str("type", "custom_tool_call").str("id", &id).str("call_id", call);
            o.str("name", name).str("input", input).str("status", "completed");
        })
    }

    /// A search that the API itself has made.
    pub fn web_search(&mut self, query: &str) -> io::Result<()> {
        let id = self.item_id("ws");
        self.whole_item(|o| {
            o.str("type", "web_search_call").str("id", &id).str("status", "completed");
            o.object("action", |o| {
                o.str("type", "search").str("query", query);
            });
        })
    }

    /// The end of an answer that is complete.
    pub fn completed(&mut self, usage: Usage) -> io::Result<()> {
        self.begin()?;
        self.response("response.completed", |o| {
            o.str("status", "completed").object("usage", |o| {
                o.int("input_tokens", usage.input);
                o.object("input_tokens_details", |o| {
                    o.int("cached_tokens", usage.cached);
                });
                o.int("output_tokens", usage.output);
                o.object("output_tokens_details", |o| {
                    o.int("reasoning_tokens", usage.reasoning);
                });
                o.int("total_tokens", i128::from(usage.input) + i128::from(usage.output));
            });
        })?;
        http::write_chunk(self.stream, "")
    }

    /// The end of an answer that failed.
    pub fn failed(&mut self, code: &str, message: &str) -> io::Result<()> {
        self.begin()?;
        self.response("response.failed", |o| {
            o.str("status", "failed").object("error", |o| {
                o.str("code", code).str("message", message);
            });
        })?;
        http::write_chunk(self.stream, "")
    }

    /// An id for the item that comes next.
    fn item_id(&self, kind: &str) -> String {
        format!("{kind}_{}_{}", self.id, self.items)
    }

    /// An item that is there all at once.
    fn whole_item(&mut self, fill: impl Fn(&mut Object<'_>)) -> io::Result<()> {
        self.item_added(&fill)?;
        self.item_done(fill)
    }

    /// The start of an item.
    fn item_added(&mut self, fill: impl FnOnce(&mut Object<'_>)) -> io::Result<()> {
        self.begin()?;
        self.item("response.output_item.added", fill)
    }

    /// The end of an item; the next one may follow.
    fn item_done(&mut self, fill: impl FnOnce(&mut Object<'_>)) -> io::Result<()> {
        self.item("response.output_item.done", fill)?;
        self.items += 1;
        Ok(())
    }

    /// An event about an item.
    fn item(&self, kind: &str, fill: impl FnOnce(&mut Object<'_>)) -> io::Result<()> {
        self.event(kind, |o| {
            o.int("output_index", self.items).object("item", fill);
        })
    }

    /// An event about the answer as a whole.
    fn response(&self, kind: &str, fill: impl FnOnce(&mut Object<'_>)) -> io::Result<()> {
        self.event(kind, |o| {
            o.object("response", |o| {
                fill(o.str("id", &self.id));
            });
        })
    }

    /// Writes one event.
    fn event(&self, kind: &str, fill: impl FnOnce(&mut Object<'_>)) -> io::Result<()> {
        let mut text = format!("event: {kind}\ndata: ");
        json::object(&mut text, |o| fill(o.str("type", kind)));
        text.push_str("\n\n");
        http::write_chunk(self.stream, &text)
    }
}
