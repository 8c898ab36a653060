//! Positions and tokens: how servers write them, what is refused, and the laws of the algebra.

use proptest::prelude::*;

use super::arbitrary::{mariadb, mysql, token};
use super::{Flavor, FlavorMismatch, GtidError, Position, Token};

const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const OTHER: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

fn position(text: &str) -> Position {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn positions_print_as_servers_write_them() {
    for (written, printed) in [
        ("", ""),
        ("0-9100-12", "0-9100-12"),
        ("7-1-3,0-9100-12", "0-9100-12,7-1-3"),
        ("0-1-5,0-2-9", "0-2-9"),
        (" 0-1-5 ,\n 1-1-1 ", "0-1-5,1-1-1"),
        (&format!("{UUID}:1-5"), &format!("{UUID}:1-5")),
        (&format!("{UUID}:1-3:4-5:9"), &format!("{UUID}:1-5:9")),
        (&format!("{UUID}:9:1"), &format!("{UUID}:1:9")),
        (
            &format!("{}:1-5,\n{OTHER}:7", UUID.to_uppercase()),
            &format!("{UUID}:1-5,{OTHER}:7"),
        ),
        (&format!("{UUID}:1-2:tag:1-3,{UUID}:3"), &format!("{UUID}:1-3:tag:1-3")),
    ] {
        assert_eq!(position(written).to_string(), printed, "{written:?}");
    }
}

#[test]
fn what_is_no_position_is_refused_with_the_place() {
    for wrong in [
        "0-1",
        "0-1-",
        "0-1-x",
        "0-1-2,",
        "0-1-2;1-1-1",
        "-1-2-3",
        "0-1-99999999999999999999999",
        "3e11fa47:1-5",
        UUID,
        &format!("{UUID}:"),
        &format!("{UUID}:0"),
        &format!("{UUID}:5-1"),
        &format!("{UUID}:1-5'; DROP TABLE t"),
        "gibberish",
    ] {
        assert!(wrong.parse::<Position>().is_err(), "{wrong:?}");
        assert!(wrong.parse::<Token>().is_err(), "{wrong:?}");
    }
    let said = "0-1-2;".parse::<Position>().unwrap_err().to_string();
    assert!(said.contains("offset 5"), "{said}");
}

#[test]
fn a_hostile_token_cannot_eat_memory() {
    let many: Vec<String> = (0..=Token::MAX_RANGES).map(|domain| format!("{domain}-1-1")).collect();
    let text = many.join(",");
    assert!(text.parse::<Token>().is_err(), "one too many");
    let large = position(&text);
    assert!(Token::from_bytes(&Token::from(large).to_bytes()).is_err());
}

#[test]
fn r6_two_kinds_of_servers_do_not_mix() {
    let (a, b): (Token, Token) = ("0-1-2".parse().unwrap(), format!("{UUID}:1").parse().unwrap());
    assert_eq!((a.flavor(), b.flavor()), (Some(Flavor::MariaDb), Some(Flavor::MySql)));
    assert_eq!(a.merge(&b), Err(FlavorMismatch));
    assert_eq!(a.is_reached_by(b.position()), Err(FlavorMismatch));
    assert_eq!(a.is_reached_by(&Position::Empty), Ok(false));
    assert_eq!(Token::empty().is_reached_by(b.position()), Ok(true));
}

#[test]
fn the_server_id_says_nothing_about_what_is_reached() {
    let token: Token = "0-9100-10".parse().unwrap();
    assert_eq!(
        token.is_reached_by(&position("0-9101-10")),
        Ok(true),
        "after a failover"
    );
    assert_eq!(token.is_reached_by(&position("0-9101-9")), Ok(false));
    assert_eq!(token.is_reached_by(&position("1-9100-99")), Ok(false), "another domain");
}

#[test]
fn bytes_that_are_not_a_token_are_refused() {
    let bytes = "0-9100-10".parse::<Token>().unwrap().to_bytes();
    for cut in 0..bytes.len() {
        assert!(Token::from_bytes(&bytes[..cut]).is_err(), "{cut} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(Token::from_bytes(&longer).is_err());
    let other_version = [&[0x21], &bytes[1..]].concat();
    assert!(matches!(
        Token::from_bytes(&other_version),
        Err(GtidError::Syntax { .. })
    ));
}

#[test]
fn the_bytes_are_as_documented_and_the_only_ones() {
    let bytes_of = |text: &str| text.parse::<Token>().unwrap().to_bytes();
    assert_eq!(bytes_of(""), [0x10]);
    assert_eq!(bytes_of("0-9100-10"), [0x11, 1, 0, 0x8c, 0x47, 10]);
    let uuid: Vec<u8> = (0..16).collect();
    let set = [&[0x12, 1][..], &uuid, &[2, b'a', b'b', 2, 0, 4, 0, 1]].concat();
    assert_eq!(bytes_of("00010203-0405-0607-0809-0a0b0c0d0e0f:ab:1-5:7-8"), set);
    for (other, why) in [
        (&[0x11, 0][..], "the empty token without domains"),
        (&[0x12, 0], "the empty token without sources"),
        (&[0x10, 0], "something follows"),
        (&[0x11, 1, 0, 1, 0x85, 0], "5 is shorter in one byte"),
        (&[0x11, 2, 0, 1, 5, 0, 1, 6], "one domain twice"),
        (&[0x11, 2, 1, 1, 5, 0, 1, 6], "domains out of order"),
    ] {
        assert!(Token::from_bytes(other).is_err(), "{why}");
    }
}

#[test]
fn the_largest_token_comes_back() {
    let ranges: String = (0..Token::MAX_RANGES).map(|n| format!(":{}", 2 * n + 1)).collect();
    let token: Token = format!("{UUID}{ranges}").parse().unwrap();
    assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
    assert_eq!(Token::from_bytes(&token.to_bytes()).unwrap(), token);
    let largest = format!("{UUID}:1:18446744073709551614-18446744073709551615");
    assert_eq!(position(&largest).to_string(), largest);
    assert_eq!(
        Token::from_bytes(&Token::from(position(&largest)).to_bytes())
            .unwrap()
            .position(),
        &position(&largest)
    );
}

#[test]
fn r3_a_token_fits_into_a_cookie() {
    let token: Token = format!("{UUID}:1-5:7:_t:2,{OTHER}:2").parse().unwrap();
    let cookie_octet = |b: u8| b.is_ascii_graphic() && !b"\",;\\".contains(&b);
    assert!(token.to_string().bytes().all(cookie_octet), "{token}");
}

#[test]
fn r5_a_lost_write_is_what_the_primary_itself_lacks() {
    let lost = position("0-9100-10,7-1-3").minus(&position("0-9101-9,7-1-3"));
    assert_eq!(lost.to_string(), "0-9100-10");
    let lost = position(&format!("{UUID}:1-10:15:17-20")).minus(&position(&format!("{UUID}:3-4:8-16:18")));
    assert_eq!(lost.to_string(), format!("{UUID}:1-2:5-7:17:19-20"));
}

/// The laws that both flavours obey.
fn laws(a: &Position, b: &Position, c: &Position) -> Result<(), TestCaseError> {
    let union = |a: &Position, b: &Position| a.union(b).expect("one flavour");
    // R6: in any order, and as often as needed.
    prop_assert!(union(a, b).covers(&union(b, a)) && union(b, a).covers(&union(a, b)));
    prop_assert_eq!(union(a, a), a.clone());
    prop_assert!(union(&union(a, b), c).covers(&union(a, &union(b, c))));
    prop_assert!(union(a, b).covers(a) && union(a, b).covers(b));
    prop_assert!(a.covers(&a.intersection(b)) && b.covers(&a.intersection(b)));
    prop_assert_eq!(a.minus(b).is_empty(), b.covers(a));
    prop_assert!(union(b, &a.minus(b)).covers(a));
    prop_assert_eq!(&position(&a.to_string()), a);
    Ok(())
}

proptest! {
    #[test]
    fn r6_mariadb_positions_obey_the_laws(a in mariadb(), b in mariadb(), c in mariadb()) {
        laws(&a, &b, &c)?;
    }

    #[test]
    fn r6_mysql_sets_obey_the_laws(a in mysql(), b in mysql(), c in mysql()) {
        laws(&a, &b, &c)?;
        prop_assert!(a.minus(&b).is_disjoint(&b));
    }

    #[test]
    fn a_token_survives_text_and_bytes(token in token()) {
        prop_assert_eq!(&token.to_string().parse::<Token>().unwrap(), &token);
        prop_assert_eq!(&Token::from_bytes(&token.to_bytes()).unwrap(), &token);
    }

    #[test]
    fn arbitrary_text_and_bytes_never_panic(text in ".{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _any = text.parse::<Position>();
        let _any = text.parse::<Token>();
        if let Ok(token) = Token::from_bytes(&bytes) {
            prop_assert_eq!(token.to_bytes(), bytes);
        }
    }
}
