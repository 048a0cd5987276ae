#![allow(clippy::unwrap_used)]

use super::*;

/// Vectors that come with crypt_blowfish (Openwall, `wrapper.c`). The third has bytes of eight bits, where `$2x$` was wrong;
/// the last one has 72 bytes, of which every one counts.
const VECTORS: [(&[u8], &str); 6] = [
    (b"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    (b"U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    (b"\xa3", "$2b$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"),
    (b"U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
    (b"", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
    (
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
    ),
];

#[test]
fn published_vectors() {
    for (text, hash) in VECTORS {
        assert_eq!(verify(text, hash), Ok(true), "{hash}");
        assert_eq!(verify(b"other", hash), Ok(false));
    }
}

/// Every number of lanes, held against the crate `bcrypt`.
#[test]
fn side_by_side_as_one_by_one() {
    let long = [b'x'; MAX_LEN];
    let texts: Vec<Vec<u8>> = (0_u8..11)
        .map(|at| match at {
            3 => long.to_vec(),
            4 => b"caf\xc3\xa9 \xff".to_vec(),
            5 => Vec::new(),
            at => format!("{:03}", 91 * u32::from(at)).into_bytes(),
        })
        .collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let salts: Vec<[u8; 16]> = (0_u8..11).map(|at| std::array::from_fn(|byte| at * 17 + byte as u8 * 3)).collect();
    for count in 0..=texts.len() {
        let hashes = hash_with(&texts[..count], &salts[..count], 4).unwrap();
        assert_eq!(hashes.len(), count);
        for ((hash, text), salt) in hashes.iter().zip(&texts).zip(&salts) {
            let expected = ::bcrypt::hash_with_salt(text, 4, *salt).unwrap();
            assert_eq!(*hash, expected.format_for_version(::bcrypt::Version::TwoB));
        }
    }
}

#[test]
fn hashes_have_salts_of_their_own_and_are_read_by_others() {
    let hashes = hash_all(&[b"123", b"123", b"124"], 5).unwrap();
    assert!(hashes[0] != hashes[1] && hashes.iter().all(|hash| hash.len() == HASH_LEN && is_hash(hash)));
    for (text, matches) in [("123", true), ("124", false)] {
        assert_eq!(verify(text.as_bytes(), &hashes[1]), Ok(matches));
        assert_eq!(::bcrypt::verify(text, &hashes[1]).unwrap(), matches);
    }
    assert!(verify(b"123", &hashes[0].replace("$2b$", "$2y$")).unwrap());
    assert_eq!(hash_all(&[], 12), Ok(Vec::new()));
}

#[test]
fn what_bcrypt_would_cut_is_refused() {
    let hash = VECTORS[0].1;
    for (text, error) in [
        (vec![b'1'; 73], BcryptError::TooLong),
        (b"12\x003".to_vec(), BcryptError::ZeroByte),
        (b"\0".to_vec(), BcryptError::ZeroByte),
    ] {
        assert_eq!(hash_all(&[b"1", &text], 4), Err(error));
        assert_eq!(verify(&text, hash), Err(error));
    }
    for cost in [0, 3, 17, 31] {
        assert_eq!(hash_all(&[b"1"], cost), Err(BcryptError::Cost));
    }
    for wrong in [
        "",
        "$2b$12$",
        "$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
        "$2a$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWW",
        "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$+5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$05$CCCCCCCCCCCCCCCCCCCC=.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
    ] {
        assert_eq!(verify(b"1", wrong), Err(BcryptError::NotAHash), "{wrong}");
        assert!(!is_hash(wrong));
    }
}
