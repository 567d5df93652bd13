//! Files of every form as strangers write them: whole, damaged, and with a name that lies.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::{Extracted, Form, read};
use crate::chunk::chunks;
use crate::testing::HashEmbed;

// === What a document is made of ===

/// Each block as `section | plain`, line ends as `/`, after checking that its span says the same.
fn blocks(extracted: &Extracted) -> Vec<String> {
    let block = |block: &super::Block| {
        assert_eq!(extracted.text[block.span.clone()], block.plain);
        format!("{} | {}", block.section, block.plain.replace('\n', "/"))
    };
    extracted.blocks.iter().map(block).collect()
}

fn check(form: Form, bytes: Vec<u8>, title: &str, expected: &[&str]) {
    let extracted = read(form, bytes).unwrap();
    assert_eq!(
        (extracted.title.as_str(), blocks(&extracted)),
        (title, expected.iter().map(ToString::to_string).collect())
    );
}

fn refused(form: Form, bytes: Vec<u8>, expected: &str) {
    let why = read(form, bytes).unwrap_err();
    assert!(why.contains(expected), "{why}");
}

#[test]
fn names_tell_forms() {
    let check = |name: &str, expected: Option<Form>| assert_eq!(Form::of(name), expected, "{name}");
    check("a/b.md", Some(Form::Markdown));
    check("A.PDF", Some(Form::Pdf));
    check("x.tar.docx", Some(Form::Docx));
    check("src/Makefile", Some(Form::Code));
    check("README", Some(Form::Text));
    check("pdf", None);
    check("a.png", None);
    check("", None);
}

// === Word ===

fn package(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn document(body: &str) -> String {
    format!("<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>")
}

fn paragraph(style: &str, words: &str) -> String {
    let style = if style.is_empty() {
        String::new()
    } else {
        format!("<w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr>")
    };
    format!("<w:p>{style}<w:r><w:t>{words}</w:t></w:r></w:p>")
}

fn word_file() -> Vec<u8> {
    let item = |words: &str, level: u8| {
        format!(
            "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"{level}\"/><w:numId w:val=\"1\"/></w:numPr></w:pPr><w:r><w:t>{words}</w:t></w:r></w:p>"
        )
    };
    let row = |a: &str, b: &str| {
        format!("<w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr>", paragraph("", a), paragraph("", b))
    };
    let body = [
        paragraph("T", "The Guide"),
        paragraph("", "Fish &amp; chips, &#233;t&eacute;."),
        paragraph("H1", "Setup"),
        item("one", 0),
        item("deep", 1),
        format!("<w:tbl>{}{}</w:tbl>", row("name", "port"), row("web|api", "80")),
        paragraph("Custom", "Part"),
        String::from(
            "<w:p><w:r><w:t>See</w:t></w:r><w:del><w:r><w:t>gone</w:t></w:r></w:del><w:hyperlink><w:r><w:t> the site</w:t></w:r></w:hyperlink><w:r><w:tab/><w:footnoteReference w:id=\"2\"/></w:r></w:p>",
        ),
        String::from("<w:p><w:pPr><w:outlineLvl w:val=\"0\"/></w:pPr><w:r><w:t>Use</w:t></w:r></w:p>"),
        paragraph("", "Go."),
    ];
    let styles = "<w:styles><w:style w:styleId=\"T\"><w:name w:val=\"Title\"/></w:style>\
        <w:style w:styleId=\"H1\"><w:name w:val=\"heading 1\"/></w:style><w:style w:styleId=\"H2\"><w:name w:val=\"heading 2\"/></w:style>\
        <w:style w:styleId=\"Custom\"><w:name w:val=\"Mine\"/><w:basedOn w:val=\"H2\"/></w:style></w:styles>";
    let notes = "<w:footnotes><w:footnote w:id=\"0\" w:type=\"separator\"><w:p><w:r><w:t>---</w:t></w:r></w:p></w:footnote>\
        <w:footnote w:id=\"2\"><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>";
    package(&[
        ("word/document.xml", &document(&body.concat())),
        ("word/styles.xml", styles),
        ("word/footnotes.xml", notes),
        ("docProps/core.xml", "<cp><dc:title>A  title</dc:title><dc:creator>Nobody</dc:creator></cp>"),
    ])
}

#[test]
fn word_documents_keep_their_structure() {
    check(
        Form::Docx,
        word_file(),
        "A title",
        &[
            "The Guide | Fish & chips, ét.",
            "The Guide > Setup | * one/  * deep",
            "The Guide > Setup | name | port/web/api | 80",
            "The Guide > Setup > Part | See the site",
            "The Guide > Setup > Part | A note.",
            "Use | Go.".replace("Use", "The Guide > Use").as_str(),
        ],
    );
    let table =
        read(Form::Docx, word_file()).unwrap().blocks.into_iter().find(|block| block.header.is_some());
    assert_eq!(table.unwrap().plain, "name | port\nweb/api | 80");
}

#[test]
fn word_documents_that_cannot_be_read_say_why() {
    refused(Form::Docx, b"PK no".to_vec(), "is damaged");
    refused(Form::Docx, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "is encrypted");
    refused(Form::Docx, package(&[("a.xml", "x")]), "no word/document.xml");
    refused(Form::Docx, package(&[("word/document.xml", &document(""))]), "has no words");
    refused(Form::Docx, package(&[("word/document.xml", "<w:p><w:t>x</w:p>")]), "is damaged");
    refused(Form::Docx, package(&[("word/document.xml", &"<a>".repeat(5_000))]), "nested deeper");
    let bomb = " ".repeat(130 * 1024 * 1024);
    refused(Form::Docx, package(&[("word/document.xml", &bomb)]), "unpacks to more than");
}

// === PDF ===

/// A PDF of one font whose pages have these content streams, and bookmarks.
fn pdf(pages: &[String], bookmarks: &[&str], trailer: &str) -> Vec<u8> {
    let count = pages.len();
    let kids: Vec<String> = (0..count).map(|page| format!("{} 0 R", 10 + 2 * page)).collect();
    let first_bookmark = 10 + 2 * count;
    let mut objects = vec![
        (1, format!("<< /Type /Catalog /Pages 2 0 R /Outlines << /First {first_bookmark} 0 R >> >>")),
        (2, format!("<< /Type /Pages /Count {count} /Kids [{}] >>", kids.join(" "))),
        (
            3,
            String::from("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"),
        ),
        (4, String::from("<< /Title (Microsoft Word - a.doc) >>")),
    ];
    for (page, content) in pages.iter().enumerate() {
        let number = 10 + 2 * page;
        objects.push((number, format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F 3 0 R >> >> /Contents {} 0 R >>",
            number + 1
        )));
        objects.push((number + 1, format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len())));
    }
    for (place, title) in bookmarks.iter().enumerate() {
        let next = if place + 1 < bookmarks.len() {
            format!("/Next {} 0 R", first_bookmark + place + 1)
        } else {
            String::new()
        };
        objects.push((first_bookmark + place, format!("<< /Title ({title}) {next} >>")));
    }
    let mut file = String::from("%PDF-1.7\n");
    let mut offsets = Vec::new();
    for (number, object) in &objects {
        offsets.push((*number, file.len()));
        file.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let start = file.len();
    file.push_str("xref\n0 1\n0000000000 65535 f \n");
    for (number, offset) in &offsets {
        file.push_str(&format!("{number} 1\n{offset:010} 00000 n \n"));
    }
    let size = offsets.len() + 20;
    file.push_str(&format!(
        "trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n"
    ));
    file.into_bytes()
}

/// A line of text at a height and of a size.
fn shown(words: &str, height: u32, size: u32) -> String {
    format!("BT /F {size} Tf 72 {height} Td ({words}) Tj ET\n")
}

fn text_file() -> Vec<u8> {
    let page = |number: u32, body: String| {
        shown("The Book", 760, 9) + &body + &shown(&format!("{number} / 3"), 20, 9)
    };
    pdf(
        &[
            page(
                1,
                shown("Setting up", 700, 18)
                    + &shown("The gate-", 670, 10)
                    + &shown("way runs on one machine", 658, 10)
                    + &shown("and needs no other.", 646, 10)
                    + &shown("A new paragraph.", 610, 10),
            ),
            page(
                2,
                shown("More of it.", 700, 10) + "BT /F 10 Tf 72 688 Td [(Wo) 20 (rds) -400 (apart)] TJ ET\n",
            ),
            page(3, shown("Use", 700, 18) + &shown("Go (now\\051.", 670, 10).replace("(now", "\\050now")),
        ],
        &[],
        "",
    )
}

#[test]
fn pages_become_paragraphs_below_headings() {
    check(
        Form::Pdf,
        text_file(),
        "Setting up",
        &[
            "Setting up > Page 1 | The gateway runs on one machine and needs no other.",
            "Setting up > Page 1 | A new paragraph.",
            "Setting up > Page 2 | More of it. Words apart",
            "Use > Page 3 | Go (now).",
        ],
    );
    let bookmarked = pdf(
        &[
            shown("1 Begin", 700, 10) + &shown("Words below.", 688, 10),
            shown("Then", 700, 10) + &shown("More words.", 660, 10),
        ],
        &["Begin", "Not there", "\\376\\377\\000T\\000h\\000e\\000n"],
        "",
    );
    check(
        Form::Pdf,
        bookmarked,
        "1 Begin",
        &["1 Begin > Page 1 | Words below.", "Then > Page 2 | More words."],
    );
    check(Form::Pdf, pdf(&[shown("Only words", 700, 10)], &[], ""), "", &["Page 1 | Only words"]);
}

#[test]
fn pdfs_that_cannot_be_read_say_why() {
    refused(Form::Pdf, b"hello".to_vec(), "does not begin with %PDF-");
    refused(Form::Pdf, b"%PDF-1.7\nnothing".to_vec(), "is damaged");
    refused(Form::Pdf, pdf(&[String::from("0 0 10 10 re f")], &[], ""), "may be scanned");
    let locked = "/ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <0000000000000000000000000000000000000000000000000000000000000000> /U <0000000000000000000000000000000000000000000000000000000000000000> >>";
    refused(Form::Pdf, pdf(&[shown("x", 1, 10)], &[], locked), "is encrypted");
}

#[test]
fn pdfs_that_unpack_to_too_much_are_refused() {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0_u8; 1024 * 1024];
    for _ in 0..90 {
        packer.write_all(&zeros).unwrap();
    }
    let packed = packer.finish().unwrap();
    let mut file = b"%PDF-1.7\n".to_vec();
    for number in 1..7 {
        file.extend(format!("{number} 0 obj << /Filter /FlateDecode >>\nstream\n").into_bytes());
        file.extend(&packed);
        file.extend(b"\nendstream endobj\n");
    }
    refused(Form::Pdf, file, "unpacks to more than");
}

#[test]
fn a_form_that_draws_itself_ends() {
    let page = String::from("/X Do");
    let mut file = String::from_utf8(pdf(&[page + &" ".repeat(9)], &[], "")).unwrap();
    // The cross-reference table is wrong after this, and is built anew by the reader.
    let form = "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 60 0 R >> >> /Length 11 >>\nstream\n/X Do /X Do\nendstream";
    file = file.replace("/Font << /F 3 0 R >>", "/Font << /F 3 0 R >> /XObject << /X 60 0 R >>");
    file = file.replace("xref\n0 1", &format!("60 0 obj\n{form}\nendobj\nxref\n0 1"));
    let deadline = Instant::now() + Duration::from_millis(300);
    let why = super::pdf::read_until(file.into_bytes(), deadline).unwrap_err();
    assert!(why.contains("takes longer") || why.contains("scanned"), "{why}");
    assert!(Instant::now() < deadline + Duration::from_secs(20));
}

// === Damage, and the laws of passages ===

/// Files of the forms that are parsed the hardest.
fn seeds() -> Vec<(Form, Vec<u8>)> {
    vec![(Form::Pdf, text_file()), (Form::Docx, word_file())]
}

/// Every passage is within the budget and in the text, and every word is in a passage.
fn check_laws(extracted: &Extracted) {
    let embed = HashEmbed::default();
    let found = chunks(extracted, &embed);
    for chunk in &found {
        let words = extracted.text.get(chunk.span.clone());
        assert!(words.is_some_and(|words| !words.trim().is_empty()), "{:?}", chunk.span);
        assert!(api::Embed::count_tokens(&embed, &chunk.plain) <= 200, "{chunk:?}");
    }
    let mut passages = found.iter().peekable();
    for block in &extracted.blocks {
        let words = extracted.text[block.span.clone()].char_indices().filter(|(_, c)| c.is_alphanumeric());
        for (place, _) in words {
            let at = block.span.start + place;
            while passages.peek().is_some_and(|chunk| chunk.span.end <= at) {
                passages.next();
            }
            assert!(passages.peek().is_some_and(|chunk| chunk.span.contains(&at)), "{at} of {block:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_files_are_read_or_refused(
        seed in 0..2_usize,
        cut in prop::option::of(0.0..1.0_f64),
        flips in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..12),
    ) {
        let (form, mut bytes) = seeds().swap_remove(seed);
        for (place, value) in flips {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        if let Ok(extracted) = read(form, bytes) {
            check_laws(&extracted);
        }
    }

    #[test]
    fn any_bytes_under_any_name_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        text in "([ -~\t\né語]{0,30}\n){0,12}",
        ending in 0..200_usize,
    ) {
        let endings: Vec<Form> = super::ENDINGS.iter().map(|(form, _)| *form).collect();
        let form = endings[ending % endings.len()];
        let texts = [text.clone().into_bytes(), format!("%PDF-1.4\n{text}").into_bytes(), bytes];
        for bytes in texts {
            if let Ok(extracted) = read(form, bytes) {
                check_laws(&extracted);
            }
        }
    }

    #[test]
    fn the_laws_hold_for_long_files_of_every_form(
        source in "(([ ]{0,9}[a-zé語,{}=<>/*#|\\[\\]()-]{1,9}[ ]){0,12}\n){0,150}",
        ending in 0..200_usize,
    ) {
        let endings: Vec<Form> = super::ENDINGS.iter().map(|(form, _)| *form).collect();
        let form = endings[ending % endings.len()];
        if let Ok(extracted) = read(form, source.into_bytes()) {
            check_laws(&extracted);
        }
    }
}
