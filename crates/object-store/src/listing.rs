use bucketdb_driver::{ErrorKind, Key, Listed, Operation, Page, Result};
use object_store::list::PaginatedListOptions;

use crate::connector::observe_body;
use crate::error::{Call, Conditional, Protocol};
use crate::store::{Listing, Store};
use crate::xml::{MalformedXml, for_each_element};

impl Store {
    pub(crate) async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        if self.listing == Listing::Unordered {
            return self.list_sorted(prefix).await;
        }
        self.list_page(prefix, prefix, None, continuation).await
    }

    pub(crate) async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        let from = (self.listing == Listing::Ordered).then_some(after);
        let mut page = match self.listing {
            Listing::Unordered => self.list_sorted(prefix).await?,
            Listing::Ordered | Listing::FromStart => self.list_page(prefix, prefix, from, None).await?,
        };
        loop {
            // Also where the store was told where to begin: some servers ignore that.
            page.objects.retain(|listed| listed.key > *after);
            match page.next {
                Some(next) if page.objects.is_empty() => page = self.list(prefix, Some(&next)).await?,
                _ => return Ok(page),
            }
        }
    }

    /// All pages as one, in order, for a store that lists in none.
    async fn list_sorted(&self, prefix: &str) -> Result<Page> {
        let folder = prefix.rfind('/').and_then(|slash| prefix.get(..=slash)).unwrap_or_default();
        let mut all = self.list_page(folder, prefix, None, None).await?;
        while let Some(next) = all.next.take() {
            let page = self.list_page(folder, prefix, None, Some(&next)).await?;
            all.objects.extend(page.objects);
            all.next = page.next;
        }
        all.objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(all)
    }

    /// One page of what begins with `asked`, without what does not begin with `prefix`.
    async fn list_page(&self, asked: &str, prefix: &str, after: Option<&Key>, token: Option<&str>) -> Result<Page> {
        let options = PaginatedListOptions {
            offset: after.map(|key| key.as_str().to_owned()),
            page_token: token.map(str::to_owned),
            ..PaginatedListOptions::default()
        };
        let asked = Some(asked).filter(|asked| !asked.is_empty());
        let (result, mut seen) = observe_body(self.clients.patient.list_paginated(asked, options)).await;
        let call = Call { operation: Operation::List, subject: prefix, conditional: Conditional::No };
        let body = match (seen.body.take(), result) {
            (Some(body), _) => body,
            (None, Err(error)) => return Err(self.place.error(call, &error, seen)),
            (None, Ok(_)) => return Err(call.error(ErrorKind::Transient, self.place.at("the listing was not seen"))),
        };
        let page = parse_page(self.place.protocol, &body, prefix).map_err(|malformed| {
            call.error(ErrorKind::Transient, self.place.at("the listing is unreadable")).with_source(malformed)
        })?;
        if page.next.is_some() && page.next.as_deref() == token {
            return Err(call.error(ErrorKind::Permanent, self.place.at("the listing does not move on")));
        }
        Ok(page)
    }
}

/// Reads one page of a listing from the store's own answer.
///
/// The client's reading is not used: it drops a `/` at the end of a name, so that the marker `log/` would be taken for
/// an object `log` that does not exist, and it fails on the whole page for one name with an empty segment.
pub(crate) fn parse_page(protocol: Protocol, body: &[u8], prefix: &str) -> Result<Page, MalformedXml> {
    let fields = Fields::of(protocol);
    let mut page = Page::default();
    let (mut name, mut size_bytes, mut next, mut is_cut) = (String::new(), None, None, None);
    for_each_element(body, |names, text| {
        let path: Vec<&str> = names.iter().skip(1).map(String::as_str).collect();
        if path == fields.name {
            text.clone_into(&mut name);
        } else if path == fields.size {
            size_bytes = text.trim().parse().ok();
        } else if path == fields.next {
            next = Some(text.to_owned()).filter(|token| !token.is_empty());
        } else if path == ["IsTruncated"] {
            is_cut = Some(text.trim() == "true");
        } else if path == fields.object {
            let (name, size_bytes) = (std::mem::take(&mut name), size_bytes.take());
            match Key::new(&name) {
                Ok(key) if name.starts_with(prefix) => page.objects.push(Listed { key, size_bytes }),
                _ => tracing::debug!(name, "passed over an object that is not BucketDB's"),
            }
        }
    })?;
    if is_cut == Some(true) && next.is_none() {
        return Err(MalformedXml::missing("a cut listing has no continuation token"));
    }
    // Some servers send a token with the last page too. Azure has no flag: there the token alone says that more follows.
    page.next = next.filter(|_| is_cut != Some(false));
    Ok(page)
}

/// Where a listing has what, below its root.
struct Fields {
    object: &'static [&'static str],
    name: &'static [&'static str],
    size: &'static [&'static str],
    next: &'static [&'static str],
}

impl Fields {
    fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::S3 | Protocol::Gcs => Self {
                object: &["Contents"],
                name: &["Contents", "Key"],
                size: &["Contents", "Size"],
                next: &["NextContinuationToken"],
            },
            Protocol::Azure => Self {
                object: &["Blobs", "Blob"],
                name: &["Blobs", "Blob", "Name"],
                size: &["Blobs", "Blob", "Properties", "Content-Length"],
                next: &["NextMarker"],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|listed| listed.key.as_str()).collect()
    }

    #[test]
    fn names_that_are_no_keys_are_passed_over() {
        let body = b"<ListBucketResult><IsTruncated>true</IsTruncated>\
            <Contents><Key>p/</Key><Size>0</Size></Contents>\
            <Contents><Key>p/ a&amp;b </Key><Size>3</Size></Contents>\
            <Contents><Key>p//x</Key><Size>1</Size></Contents>\
            <Contents><Key>p/log/</Key><Size>0</Size></Contents>\
            <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let page = parse_page(Protocol::S3, body, "p/").unwrap();
        assert_eq!(keys(&page), ["p/ a&b "]);
        assert_eq!(page.objects.first().unwrap().size_bytes, Some(3));
        assert_eq!(page.next.as_deref(), Some("t"));
    }

    #[test]
    fn a_token_on_the_last_page_is_no_next_page() {
        let body = b"<ListBucketResult><IsTruncated>false</IsTruncated>\
            <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        assert_eq!(parse_page(Protocol::S3, body, "").unwrap(), Page::default());
    }

    #[test]
    fn a_cut_page_without_a_token_is_an_error_and_not_the_end() {
        let body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert!(parse_page(Protocol::S3, body, "").is_err());
        assert!(parse_page(Protocol::S3, b"", "").is_err());
    }

    #[test]
    fn azure_s_form_is_read() {
        let body = "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Prefix>a</Prefix><Blobs>\
            <Blob><Name>a/1</Name><Properties><Content-Length>7</Content-Length></Properties></Blob></Blobs>\
            <NextMarker>m</NextMarker></EnumerationResults>";
        let page = parse_page(Protocol::Azure, body.as_bytes(), "a").unwrap();
        assert_eq!((keys(&page), page.next.as_deref()), (vec!["a/1"], Some("m")));
        assert_eq!(page.objects.first().unwrap().size_bytes, Some(7));
    }
}
