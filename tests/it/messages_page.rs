//! The contract for senders says everything that can happen to them.

use longshore::{domain::reason::Reason, sources::vendors::job_types::SCHEMAS};

#[test]
fn the_page_for_senders_names_every_reason_every_type_every_vendor_and_every_scheme() {
    let page = include_str!("../../docs/MESSAGES.md");
    let told = Reason::ALL.iter().take_while(|reason| **reason != Reason::LlmRefused);
    for reason in told.chain([&Reason::SecretUnavailable, &Reason::ObjectUnavailable]) {
        assert!(page.contains(&format!("`{reason}`")), "{reason}");
    }
    for form in longshore::sources::decode::FORMS {
        assert!(page.contains(&format!("| `{form}` |")), "{form}");
    }
    for schema in SCHEMAS {
        assert!(page.contains(&format!("`{}`", schema.name)), "{}", schema.name);
        assert!(page.contains(&format!("schemas/{}.json", schema.name)), "{}", schema.name);
    }
    for vendor in longshore::sources::vendors::VENDORS {
        assert!(page.contains(&format!("| `{}` |", vendor.name)), "{}", vendor.name);
    }
    for scheme in longshore::sources::schemes::SCHEMES {
        let row = format!("| `{}` | {} |", scheme.name, scheme.shape.replace('|', "&#124;"));
        assert!(page.contains(&row), "{row}");
    }
}
