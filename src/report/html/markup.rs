//! The few pieces of HTML that the page is made of. Whatever comes from outside passes through [`escape`].

/// Text that shows as itself, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A section of the page, with a heading that links lead to.
pub(super) fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{body}</section>\n", escape(title))
}

/// A paragraph of plain text.
pub(super) fn paragraph(class: &str, text: &str) -> String {
    format!("<p class=\"{class}\">{}</p>\n", escape(text))
}

/// Something that opens: `summary` is plain text, `body` is HTML.
pub(super) fn details(summary: &str, body: &str, open: bool) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{}</summary>\n{body}</details>\n", escape(summary))
}

/// What the cells of a table are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Numbers, to the right.
    Figures,
    /// Sentences, which may wrap.
    Words,
}

/// A table of plain texts in a box of its own, which scrolls where the table is wider than the page.
pub(super) fn table(content: Content, heads: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<(String, &Vec<String>)> = rows.iter().map(|row| (String::new(), row)).collect();
    table_with_ids(content, heads, &rows)
}

/// The same with an id for each row that has one.
pub(super) fn table_with_ids(content: Content, heads: &[&str], rows: &[(String, &Vec<String>)]) -> String {
    let class = if content == Content::Figures { "figures" } else { "words" };
    // A box that scrolls must take the focus, so that keys can scroll it.
    let mut out = format!("<div class=\"scroll\" tabindex=\"0\"><table class=\"{class}\"><thead><tr>");
    for head in heads {
        out += &format!("<th scope=\"col\">{}</th>", escape(head));
    }
    out += "</tr></thead><tbody>\n";
    for (id, row) in rows {
        out += &if id.is_empty() { "<tr>".to_owned() } else { format!("<tr id=\"{}\">", escape(id)) };
        for (i, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            out +=
                &if i == 0 { format!("<th scope=\"row\">{cell}</th>") } else { format!("<td>{cell}</td>") };
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let evil = "<script>alert('\"&')</script>";
        let text = table(Content::Words, &[evil], &[vec![evil.into(), evil.into()]])
            + &details(evil, "", false)
            + &paragraph("note", evil)
            + &section("x", evil, "");
        assert!(!text.contains("<script"), "{text}");
        assert_eq!(text.matches("&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;").count(), 6);
    }
}
