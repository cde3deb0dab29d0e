use mongodb::bson::Bson;

/// Servers differ in the type of their numbers.
pub(crate) fn whole(number: Option<&Bson>) -> Option<i64> {
    match number? {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "counts and codes are small"
        )]
        Bson::Double(number) if number.fract() == 0.0 => Some(*number as i64),
        _ => None,
    }
}
