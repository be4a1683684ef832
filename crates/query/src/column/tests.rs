use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;

use super::*;
use crate::{Filter, TypedFilter, TypedOrder};

struct User;
struct Address;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Admin,
}

const ROLE: Column<User, Role> = Column::new("role");
const NAME: Column<User, String> = Column::new("name");
const NICKNAME: Column<User, Option<String>> = Column::new("nickname");
const ALIAS: Column<User, Cow<'static, str>> = Column::new("alias");
const AGE: Column<User, u8> = Column::new("age");
const RATING: Column<User, Option<f64>> = Column::new("rating");
const ACTIVE: Column<User, bool> = Column::new("active");
const TAGS: Column<User, Vec<String>> = Column::new("tags");
const SCORES: Column<User, Option<HashSet<i64>>> = Column::new("scores");
const ADDRESS: Column<User, Option<Address>> = Column::new("address");
const ADDRESSES: Column<User, Vec<Address>> = Column::new("addresses");
const CITY: Column<Address, String> = Column::new("\"the city\"");

fn text(filter: impl Into<TypedFilter<User>>) -> String {
    filter.into().to_string()
}

#[test]
fn every_condition_has_its_text() {
    assert_eq!(text(NAME.eq("Ann")), r#"name = "Ann""#);
    assert_eq!(text(NAME.eq(String::from("Ann"))), r#"name = "Ann""#);
    let name = String::from("Ann");
    assert_eq!(text(NAME.eq(&name)), r#"name = "Ann""#);
    assert_eq!(text(NICKNAME.eq(&name)), r#"nickname = "Ann""#);
    assert_eq!(text(ALIAS.ne("Ann")), r#"not alias = "Ann""#);
    assert_eq!(text(AGE.lt(18)), "age < 18");
    assert_eq!(text(AGE.le(18)), "age <= 18");
    assert_eq!(text(AGE.gt(18_u8)), "age > 18");
    assert_eq!(text(AGE.ge(18)), "age >= 18");
    assert_eq!(text(AGE.between(18, 65)), "age between 18 and 65");
    assert_eq!(text(AGE.is_in([1, 2])), "age in [1, 2]");
    assert_eq!(text(NAME.is_in(vec!["a", "b"])), r#"name in ["a", "b"]"#);
    assert_eq!(text(ROLE.eq(Role::Admin)), r#"role = "admin""#);
    assert_eq!(text(NAME.starts_with("A")), r#"name starts with "A""#);
    assert_eq!(text(NAME.contains("nn")), r#"name contains "nn""#);
    assert_eq!(text(TAGS.contains("vip")), r#"tags contains "vip""#);
    assert_eq!(text(TAGS.eq(vec!["a".to_owned()])), r#"tags = ["a"]"#);
    assert_eq!(text(SCORES.contains(7)), "scores contains 7");
    assert_eq!(text(SCORES.any_element().gt(7)), "scores[*] > 7");
    assert_eq!(text(NAME.exists()), "name exists");
    assert_eq!(text(NICKNAME.is_null()), "nickname is null");
    assert_eq!(text(ACTIVE), "active = true");
    assert_eq!(text(ACTIVE.eq(false).and(ACTIVE).not()), "not (active = false and active = true)");
}

#[test]
fn an_optional_column_compares_with_what_it_may_hold() {
    assert_eq!(text(NICKNAME.eq("A")), r#"nickname = "A""#);
    assert_eq!(text(NICKNAME.eq(Some("A".to_owned()))), r#"nickname = "A""#);
    assert_eq!(text(NICKNAME.eq(None)), "nickname = null");
    assert_eq!(text(NICKNAME.starts_with("A")), r#"nickname starts with "A""#);
    assert_eq!(text(NICKNAME.contains("A")), r#"nickname contains "A""#);
    assert_eq!(text(RATING.ge(1.5)), "rating >= 1.5");
}

#[test]
fn nested_columns_join_their_paths() {
    assert_eq!(text(ADDRESS.then(CITY).eq("Bern")), r#"address."the city" = "Bern""#);
    assert_eq!(text(ADDRESSES.any_element().then(CITY).eq("Bern")), r#"addresses[*]."the city" = "Bern""#);
    assert_eq!(ADDRESS.then(CITY).to_string(), r#"address."the city""#);
}

#[test]
fn a_value_that_cannot_be_stored_equals_nothing() {
    type Odd = std::collections::BTreeMap<(u8, u8), u8>;
    const ODD: Column<User, Odd> = Column::new("odd");
    let odd = Odd::from([((1, 2), 3)]);
    assert_eq!(ODD.eq(&odd).into_untyped(), Filter::none());
    assert_eq!(ODD.ne(&odd).into_untyped(), Filter::all());
    assert_eq!(ODD.between(Odd::new(), &odd).into_untyped(), Filter::none());
    assert_eq!(text(ODD.is_in([Odd::new(), odd])), "odd in [{}]");
    assert_eq!(text(RATING.lt(f64::INFINITY)), "rating < null");
}

#[test]
fn numbers_that_json_has_no_type_for_are_asked_for_as_they_are_stored() {
    const WIDE: Column<User, u128> = Column::new("wide");
    const SIGNED: Column<User, Option<i128>> = Column::new("signed");
    const HEIGHT: Column<User, f32> = Column::new("height");
    assert_eq!(text(WIDE.eq(7)), "wide = 7");
    assert_eq!(text(WIDE.lt(7)), "wide between 0 and 6");
    assert_eq!(WIDE.gt(u128::MAX).into_untyped(), Filter::none());
    assert_eq!(text(SIGNED.between(-1_i128, 7_i128)), "signed between -1 and 7");
    assert_eq!(text(HEIGHT.eq(1.1)), "height = 1.1");
}

#[test]
fn typed_and_untyped_filters_and_orders_mix() {
    let parsed: Filter = "age >= 18".parse().unwrap();
    let typed = NAME.eq("Ann").and(parsed.clone());
    assert_eq!(text(typed.clone()), r#"name = "Ann" and age >= 18"#);
    let untyped = parsed.and(typed);
    assert!(untyped.matches(&json!({"name": "Ann", "age": 18})));

    let order: TypedOrder<User> = NAME.into();
    assert_eq!(order.then(AGE.desc()).then(ACTIVE.asc()).to_string(), "name, age desc, active");
    let plain: crate::Order = "name".parse().unwrap();
    assert_eq!(TypedOrder::<User>::from(plain).then(AGE).to_string(), "name, age");
}

#[test]
fn a_column_can_be_used_twice() {
    let age = AGE;
    assert_eq!(text(age.ge(18).and(age.lt(65))), "age >= 18 and age < 65");
}
