use super::*;

fn code(source: &str) -> String {
    Rust::new(source).code.join("\n")
}

#[test]
fn comments_and_texts_are_blank() {
    assert_eq!(code("a // b\nc"), "a     \nc");
    assert_eq!(code("a /* /* b */ c */ d"), "a                 d");
    assert_eq!(code(r#"f("a\"b"); g"#), r#"f("    "); g"#);
    assert_eq!(code("r#\"a\"b\"# c br\"\\\" d"), "r#\"   \"# c br\" \" d");
    assert_eq!(code("bar\"a\\\"b\" c"), "bar\"    \" c");
    assert_eq!(code("\"a\nb\" c"), "\" \n \" c");
}

#[test]
fn characters_are_told_from_lifetimes() {
    assert_eq!(code(r#"'"' "a" '\'' b'\\' '\u{7d}' c"#), r#"' ' " " '  ' b'  ' '      ' c"#);
    assert_eq!(code("&'a str, 'é'"), "&'a str, '  '");
}

#[test]
fn a_test_module_is_not_the_product() {
    let rust = Rust::new("a\n#[cfg(test)]\n#[path = \"x\"]\nmod tests {\n  let x = \"}\";\n}\nb");
    assert_eq!(rust.tests().cloned().collect::<Vec<_>>(), vec![Range { start: 1, end: 6 }]);
    assert_eq!(rust.product().map(|(number, _)| number).collect::<Vec<_>>(), [1, 7]);
}

#[test]
fn a_test_item_ends_where_it_ends() {
    let rust = Rust::new("#[cfg(all(test, unix))]\nfn f(a: [u8; 2]) {\n}\n#[cfg(test)]\nmod tests;\nfn g() {}\n");
    assert_eq!(rust.product().map(|(number, _)| number).collect::<Vec<_>>(), [6]);
    assert_eq!(Rust::new("#[cfg(not(test))]\nfn f() {}").tests().count(), 0);
    assert_eq!(Rust::new("#[cfg(feature = \"test-kit\")]\nfn f() {}\n#[cfg(testing)]\nfn g() {}").tests().count(), 0);
    let rust =
        Rust::new("#[cfg(test)]\nfn f<A, B>(a: A)\nwhere\n  A: X,\n{\n}\nstruct S {\n#[cfg(test)]\na: u8,\nb: u8 }");
    assert_eq!(rust.product().map(|(number, _)| number).collect::<Vec<_>>(), [7, 10]);
}

#[test]
fn an_expectation_covers_its_item_and_needs_a_reason() {
    let rust = Rust::new("#[expect(clippy::x, reason = \"y\")]\nlet a = f(|| {\n  1\n});\nb\n");
    assert!(rust.is_expected(3, "x") && rust.is_expected(4, "x"));
    assert!(!rust.is_expected(5, "x") && !rust.is_expected(3, "z"));
    assert!(!Rust::new("#[expect(clippy::x)]\nf();").is_expected(2, "x"));
    assert!(Rust::new("#![expect(clippy::x, reason = \"y\")]\n\nf();").is_expected(3, "x"));
}
