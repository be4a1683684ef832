use bucketdb_driver::Support;

/// What is publicly known of the S3-compatible service behind an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) create_only: Support,
    pub(crate) if_match: Support,
    /// Whether an ETag is sent back in quotes, as the HTTP standard has it.
    ///
    /// The hosted services take what their own SDKs send: the quoted form. Everywhere else the bare form is sent:
    /// Ceph compares the header with the bare ETag, so that the quoted form never matches there, and the other servers
    /// that were tried take both.
    pub(crate) quotes_etags: bool,
    /// The region to sign for where none was given.
    pub(crate) default_region: String,
}

impl Service {
    /// The service at a host name, or Amazon S3 itself if there is none.
    pub(crate) fn at(host: Option<&str>) -> Self {
        let hosted = |support, region: &str| Self {
            create_only: support,
            if_match: support,
            quotes_etags: true,
            default_region: region.to_owned(),
        };
        let Some(host) = host else { return hosted(Support::Claimed, "us-east-1") };
        let host = host.to_ascii_lowercase();
        let is_at = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
        if is_at("amazonaws.com") || is_at("amazonaws.com.cn") {
            return hosted(Support::Claimed, "us-east-1");
        }
        if is_at("r2.cloudflarestorage.com") || is_at("storage.tigris.dev") || is_at("storage.dev") {
            return hosted(Support::Claimed, "auto");
        }
        if is_at("backblazeb2.com") {
            // s3.REGION.backblazeb2.com, possibly behind the bucket's name.
            let region = host.strip_suffix(".backblazeb2.com").and_then(|rest| rest.rsplit('.').next());
            return hosted(Support::Absent, region.unwrap_or("us-west-004"));
        }
        if is_at("storage.googleapis.com") || is_at("aliyuncs.com") {
            // Google's S3 endpoint ignores the headers without a word, Alibaba's refuses them.
            return hosted(Support::Absent, "auto");
        }
        Self {
            create_only: Support::Unknown,
            if_match: Support::Unknown,
            quotes_etags: false,
            default_region: "us-east-1".to_owned(),
        }
    }

    /// S3 Express One Zone: create-only is promised, If-Match is not relied on before it was seen to work.
    pub(crate) fn express() -> Self {
        Self { if_match: Support::Unknown, ..Self::at(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_by_their_host() {
        let r2 = Service::at(Some("0123.eu.r2.cloudflarestorage.com"));
        assert_eq!((r2.create_only, r2.default_region.as_str()), (Support::Claimed, "auto"));
        let b2 = Service::at(Some("my-bucket.s3.eu-central-003.backblazeb2.com"));
        assert_eq!((b2.create_only, b2.default_region.as_str()), (Support::Absent, "eu-central-003"));
        assert_eq!(Service::at(Some("storage.googleapis.com")).if_match, Support::Absent);
        assert_eq!(Service::at(Some("s3.eu-west-1.amazonaws.com")), Service::at(None));
        assert_eq!(Service::at(Some("t3.storage.dev")).if_match, Support::Claimed);
        let own = Service::at(Some("notamazonaws.com"));
        assert_eq!((own.create_only, own.quotes_etags), (Support::Unknown, false));
    }
}
