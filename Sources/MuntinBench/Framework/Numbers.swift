/// How numbers are written in tables.
enum Numbers {
  /// About three significant digits; thousands apart.
  static func text(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    let magnitude = abs(value)
    if magnitude >= 1000 { return grouped(Int64(rounded(value))) }
    if magnitude >= 100 { return fixed(value, 0) }
    if magnitude >= 10 { return fixed(value, 1) }
    return fixed(value, 2)
  }

  /// With so many digits after the point.
  static func fixed(_ value: Double, _ digits: Int) -> String {
    guard digits > 0 else { return String(Int64(value.rounded())) }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int64((abs(value) * scale).rounded())
    let fraction = String(whole % Int64(scale))
    let sign = value < 0 && whole > 0 ? "-" : ""
    return sign + String(whole / Int64(scale)) + "."
      + String(repeating: "0", count: digits - fraction.count) + fraction
  }

  /// Rounded to four significant digits.
  private static func rounded(_ value: Double) -> Double {
    var scale = 1.0
    while abs(value) / scale >= 10_000 { scale *= 10 }
    return (value / scale).rounded() * scale
  }

  private static func grouped(_ value: Int64) -> String {
    let digits = String(abs(value))
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return value < 0 ? "-" + text : text
  }
}
