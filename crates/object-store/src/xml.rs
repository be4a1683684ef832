use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// A body that is not the XML document it should be.
#[derive(Debug, thiserror::Error)]
#[error("the store's answer is not the XML document that it should be")]
pub(crate) struct MalformedXml(#[source] Box<dyn std::error::Error + Send + Sync>);

impl MalformedXml {
    /// A document that is well-formed but lacks what it must have.
    pub(crate) fn missing(what: &'static str) -> Self {
        Self(what.into())
    }
}

/// Calls `visit` at the end of every element with the names from the root down to it, and its text.
///
/// Text is taken as it stands, blanks at its ends included: they belong to a key.
pub(crate) fn for_each_element(body: &[u8], mut visit: impl FnMut(&[String], &str)) -> Result<(), MalformedXml> {
    let malformed = |source: quick_xml::Error| MalformedXml(source.into());
    let mut reader = Reader::from_reader(body);
    let mut names: Vec<String> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    let mut has_root = false;
    loop {
        let mut piece = String::new();
        match reader.read_event().map_err(malformed)? {
            Event::Start(element) => {
                has_root = true;
                names.push(String::from_utf8_lossy(element.local_name().as_ref()).into_owned());
                texts.push(String::new());
            }
            Event::End(_) => {
                visit(&names, &texts.pop().unwrap_or_default());
                names.pop();
            }
            Event::Text(text) => piece.push_str(&text.decode().map_err(|error| malformed(error.into()))?),
            Event::CData(text) => piece.push_str(&text.decode().map_err(|error| malformed(error.into()))?),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(malformed)? {
                Some(character) => piece.push(character),
                None => {
                    let name = reference.decode().map_err(|error| malformed(error.into()))?;
                    let unknown = || MalformedXml(format!("it has the unknown entity {name}").into());
                    piece.push_str(resolve_predefined_entity(&name).ok_or_else(unknown)?);
                }
            },
            Event::Eof if has_root && names.is_empty() => return Ok(()),
            Event::Eof => return Err(MalformedXml::missing("it ends too early")),
            Event::Empty(_) => has_root = true,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
        if let Some(text) = texts.last_mut() {
            text.push_str(&piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(body: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for_each_element(body.as_bytes(), |names, text| found.push((names.join("/"), text.to_owned()))).unwrap();
        found
    }

    #[test]
    fn text_is_unescaped_and_keeps_its_blanks() {
        let found = elements("<a><k> x &amp; &lt;y&gt; &#233;&#x41; <![CDATA[<&]]></k></a>");
        assert_eq!(found.first().unwrap(), &("a/k".to_owned(), " x & <y> éA <&".to_owned()));
    }

    #[test]
    fn a_cut_document_is_an_error() {
        for cut in ["<a><k>x</k>", "<a><k>x", "<a", "", "<a>&nosuch;</a>"] {
            assert!(for_each_element(cut.as_bytes(), |_, _| {}).is_err(), "{cut}");
        }
    }
}
