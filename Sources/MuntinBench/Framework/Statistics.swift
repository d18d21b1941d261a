/// What is said about a list of measurements.
struct Spread: Equatable {
  let median: Double, minimum: Double, maximum: Double

  /// Nil without measurements.
  init?(_ values: [Double]) {
    let sorted = values.sorted()
    guard let first = sorted.first, let last = sorted.last else { return nil }
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    minimum = first
    maximum = last
  }
}

/// The value that `share` of the measurements do not exceed; the list must not be empty.
func percentile(_ share: Double, of values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
}
