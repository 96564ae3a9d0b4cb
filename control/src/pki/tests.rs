//! What is taken in, and what is refused. The samples are OpenSSL's, valid for a century; the rest is made here.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;
use crate::time::now_s;

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("samples/", $name)).as_slice()
    };
}

fn take(certificate: &[u8], private_key: &[u8]) -> Result<Imported, PkiError> {
    import(&Material { certificate, chain: None, private_key }, now_s())
}

#[test]
fn every_form_of_key_becomes_pkcs8() {
    let table = [
        (sample!("rsa.pem"), sample!("rsa-key.pem"), KeyAlgorithm::Rsa2048),
        (sample!("rsa.pem"), sample!("rsa-key-pkcs1.pem"), KeyAlgorithm::Rsa2048),
        (sample!("ec.pem"), sample!("ec-key-sec1.pem"), KeyAlgorithm::EcPrime256v1),
        (sample!("p384.pem"), sample!("p384-key-sec1.pem"), KeyAlgorithm::EcSecp384r1),
    ];
    let taken = table.map(|(certificate, key, algorithm)| {
        let imported = take(certificate, key).unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
        assert_eq!(imported.facts.key_algorithm, algorithm);
        imported.private_key.pkcs8
    });
    assert_eq!(taken[0], taken[1], "the two forms of one key");
}

#[test]
fn client_certificates_are_nobodys_authority() {
    let from_s = now_s() - 100;
    let made = self_signed("pets", from_s, from_s + 1_000).expect("made");
    let [der] = &certificates_of(made.certificate_pem.as_bytes(), "certificate").expect("PEM")[..] else {
        panic!("one certificate");
    };
    let (_, parsed) = x509_parser::parse_x509_certificate(der).expect("X.509");
    assert!(!parsed.is_ca());
    assert_eq!(parsed.verify_signature(None), Ok(()));
    let facts = Facts::of(&parsed).expect("a known key");
    assert_eq!((facts.not_before_s, facts.not_after_s), (from_s, from_s + 1_000));
    assert_eq!((facts.subject.as_str(), facts.key_algorithm), ("CN=pets", KeyAlgorithm::EcPrime256v1));
    assert_eq!(facts.extended_key_usages[0].0, "TLS_WEB_CLIENT_AUTHENTICATION");
    // A server trusts the one certificate by itself.
    assert_eq!(
        trust_anchors(made.certificate_pem.as_bytes(), "CA").as_deref(),
        Ok(std::slice::from_ref(der))
    );
}

#[test]
fn trust_anchors_have_to_be_certificates() {
    let pem = to_pem(b"not DER");
    let table = [
        ("", "no PEM section"),
        ("x", "no PEM section"),
        (pem.as_str(), "Number 1 of the caPem isn't an X.509 certificate"),
    ];
    for (text, expected) in table {
        let error = trust_anchors(text.as_bytes(), "caPem").expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn facts_are_in_awss_words() {
    let facts = take(sample!("rsa.pem"), sample!("rsa-key.pem")).expect("taken").facts;
    assert_eq!(facts.names, ["rsa.example.com", "*.rsa.example.com"]);
    assert_eq!((facts.subject.as_str(), facts.issuer.as_str()), ("CN=rsa.example.com", "rsa.example.com"));
    assert_eq!(facts.signature_algorithm, "SHA256WITHRSA");
    assert_eq!(facts.key_usages, ["DIGITAL_SIGNATURE", "KEY_ENCIPHERMENT"]);
    let server = ("TLS_WEB_SERVER_AUTHENTICATION".to_owned(), "1.3.6.1.5.5.7.3.1".to_owned());
    assert_eq!(facts.extended_key_usages, [server]);
    assert!(facts.not_before_s < now_s() && now_s() < facts.not_after_s);
    assert!(facts.serial.contains(':'), "{}", facts.serial);
    assert_eq!(
        take(sample!("ec.pem"), sample!("ec-key-sec1.pem")).expect("taken").facts.names,
        ["ec.example.com"]
    );
}

#[test]
fn domains_are_covered_by_names_and_wildcards() {
    let facts = take(sample!("rsa.pem"), sample!("rsa-key.pem")).expect("taken").facts;
    for domain in ["rsa.example.com", "a.rsa.example.com", "*.rsa.example.com"] {
        assert!(facts.covers(domain), "{domain}");
    }
    for domain in ["example.com", "a.b.rsa.example.com", "*.example.com", "*.a.rsa.example.com", "com", ""] {
        assert!(!facts.covers(domain), "{domain}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let (ec, ec_key) = (sample!("ec.pem"), sample!("ec-key-sec1.pem"));
    let two = [ec, sample!("rsa.pem")].concat();
    let table: [(&[u8], &[u8], &str); 12] = [
        (b"", ec_key, "certificate holds no PEM section BEGIN CERTIFICATE"),
        (ec_key, ec_key, "certificate holds no PEM section BEGIN CERTIFICATE"),
        (b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", ec_key, "isn't PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ec_key, "isn't an X.509"),
        (&two, ec_key, "more than one certificate"),
        (sample!("p521.pem"), sample!("p521-key.pem"), "EC with curve 1.3.132.0.35"),
        (ec, ec, "no PEM section BEGIN PRIVATE KEY"),
        (ec, sample!("rsa-key.pem"), "doesn't match"),
        (ec, sample!("p384-key-sec1.pem"), "doesn't match"),
        (sample!("rsa.pem"), ec_key, "not supported"),
        (ec, sample!("ec-key-encrypted.pem"), "is encrypted"),
        (sample!("rsa.pem"), sample!("rsa-key-pkcs1-encrypted.pem"), "is encrypted"),
    ];
    for (at, (certificate, key, expected)) in table.into_iter().enumerate() {
        let error = take(certificate, key).expect_err(expected).to_string();
        assert!(error.contains(expected), "case {at}: {error}");
    }
    let other = KeyPair::generate().expect("a key").serialize_pem();
    assert_eq!(take(ec, other.as_bytes()), Err(PkiError::KeyMismatch));
    assert_eq!(take(ec, &[ec_key, other.as_bytes()].concat()), Err(PkiError::SeveralKeys));
}

#[test]
fn a_certificate_is_taken_while_it_is_valid() {
    let facts = take(sample!("ec.pem"), sample!("ec-key-sec1.pem")).expect("taken").facts;
    let at = |now_s| {
        let material =
            Material { certificate: sample!("ec.pem"), chain: None, private_key: sample!("ec-key-sec1.pem") };
        import(&material, now_s).map(|_| ())
    };
    assert_eq!((at(facts.not_before_s), at(facts.not_after_s)), (Ok(()), Ok(())));
    assert!(matches!(at(facts.not_before_s - 1), Err(PkiError::NotYetValid(_))));
    assert!(matches!(at(facts.not_after_s + 1), Err(PkiError::Expired(_))));
}

/// An authority whose name is this, and what it signs with.
fn authority<'a>(name: &str, by: Option<&Issuer<'_, KeyPair>>) -> (String, Issuer<'a, KeyPair>) {
    let mut params = CertificateParams::new([]).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = match by {
        None => params.self_signed(&key),
        Some(by) => params.signed_by(&key, by),
    };
    (certificate.expect("signed").pem(), Issuer::new(params, key))
}

#[test]
fn a_chain_has_to_link() {
    let (root, root_signs) = authority("root", None);
    let (middle, middle_signs) = authority("middle", Some(&root_signs));
    let (impostor, _) = authority("middle", None);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["api.example.com".to_owned()]).expect("a name");
    let leaf = params.signed_by(&key, &middle_signs).expect("signed").pem();
    let with = |chain: Option<&str>| {
        let key = key.serialize_pem();
        let chain = chain.map(str::as_bytes);
        import(&Material { certificate: leaf.as_bytes(), chain, private_key: key.as_bytes() }, now_s())
    };
    assert_eq!(with(Some(&middle)).expect("links").chain.len(), 1);
    assert_eq!(with(Some(&[middle.clone(), root.clone()].concat())).expect("links").chain.len(), 2);
    assert_eq!(with(None), Err(PkiError::NoChain));
    let table = [
        (root.clone(), "was issued by"),
        ([root.clone(), middle.clone()].concat(), "was issued by"),
        ([middle.clone(), middle.clone()].concat(), "certificate 1 of the chain was issued by"),
        (impostor, "the signature of the certificate isn't by certificate 1"),
        (String::new(), "no PEM section"),
    ];
    for (chain, expected) in table {
        let error = with(Some(&chain)).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn pem_reads_back() {
    let der = certificates_of(sample!("rsa.pem"), "certificate").expect("PEM").remove(0);
    assert_eq!(to_pem(&der).as_bytes(), sample!("rsa.pem"));
}
