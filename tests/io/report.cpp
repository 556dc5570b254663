#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>  // setrlimit
#include <sys/wait.h>      // waitpid
#include <unistd.h>        // fork

#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <resnet/io/report.hpp>

#include "../data/temporary_folder.hpp"
#include "../support/file_content.hpp"

using namespace resnet;

namespace {

constexpr std::string_view chart_js = "/* Chart.js */";

int count(std::string_view text, std::string_view part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

/// What the page hands to its script.
nlohmann::json charts_in(const std::string& page) {
    const std::string_view begin = "id=\"charts\">";
    const std::size_t first = page.find(begin) + begin.size();
    return nlohmann::json::parse(page.substr(first, page.find("</script>", first) - first));
}

Report small() {
    return {.title = "A run",
            .charts = {{"Loss", "epoch", {{"train", {1, 2}, {1.5, 1.25}}, {"test", {1, 2}, {1.6, 1.3}}}}},
            .confusion = {{"cat", "dog"}, {8, 2, 1, 9}}};
}

}  // namespace

TEST_CASE("report: the page has every part, and Chart.js once") {
    Report report = small();
    report.figures = {{"Test accuracy", "85.00 %"}};
    report.table = {"Epochs", {"epoch", "train loss"}, {{"1", "1.5000"}, {"2", "1.2500"}}};
    report.mistakes = {{{std::byte{'M'}, std::byte{'a'}}, "cat, said dog", "loss 9.5"}};
    report.settings = {{"seed", "1"}};
    report.summary = "conv1  3x3";
    const std::string page = report_html(report, chart_js);
    for (const std::string_view part :
         {"<title>A run</title>", "<dd>85.00 %</dd>", "<canvas id=\"chart-0\"", "<td>1.2500</td>", "conv1  3x3</pre>",
          "data:image/png;base64,TWE=\"", "cat, said dog<small>loss 9.5</small>", "<dt>seed</dt><dd>1</dd>",
          "/* Chart.js */"}) {
        CAPTURE(part);
        CHECK(count(page, part) == 1);
    }
    const auto series = charts_in(page)[0]["series"];
    CHECK(series[0]["y"] == std::vector<double>{1.5, 1.25});
    CHECK(series[1]["name"] == "test");
}

TEST_CASE("report: what a program leaves empty is left out, and without charts so is the script") {
    const std::string page = report_html({.title = "Nothing yet"}, chart_js);
    CHECK(count(page, "<section>") == 0);
    CHECK(count(page, "<script") == 0);
}

TEST_CASE("report: texts can't become markup or end the script") {
    const std::string evil = "</script><img src=x>\"&";
    Report report{.title = evil,
                  .subtitle = evil,
                  .figures = {{evil, evil}},
                  .charts = {{evil, evil, {{evil, {1}, {1}}}}},
                  .table = {evil, {evil}, {{evil}}},
                  .confusion = {{evil}, {1}},
                  .mistakes = {{{}, evil, evil}},
                  .settings = {{evil, evil}},
                  .summary = evil};
    const std::string page = report_html(report, chart_js);
    CHECK(count(page, "<img src=x>") == 0);
    CHECK(count(page, "<script") == count(page, "</script>"));
    CHECK(count(page, "&lt;/script&gt;&lt;img src=x&gt;&quot;&amp;") > 10);
    CHECK(charts_in(page)[0]["title"] == evil);
}

TEST_CASE("report: a value that is not finite is a gap, and bytes that are no UTF-8 do no harm") {
    const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
    const auto charts =
        charts_in(report_html({.charts = {{"\xff", "", {{"", {1, 2, 3}, {nan, infinity, 4}}}}}}, chart_js));
    const auto values = charts[0]["series"][0]["y"];
    CHECK(values[0].is_null());
    CHECK(values[1].is_null());
    CHECK(values[2] == 4);
}

TEST_CASE("report: cells of the confusion have their count and its share of the row, or of the worst mistake") {
    const std::string page = report_html(small(), chart_js);
    CHECK(count(page, "--share:68%\" title=\"cat, said cat: 8 of 10\">8</td>") == 1);
    CHECK(count(page, "--share:85%\" title=\"cat, said dog: 2 of 10\">2</td>") == 1);
    CHECK(count(page, "--share:43%\" title=\"dog, said cat: 1 of 10\">1</td>") == 1);
    // No image of a class, and no mistake at all.
    CHECK(count(report_html({.confusion = {{"cat", "dog"}, {0, 0, 0, 3}}}, chart_js), "--share:0%") == 3);
}

TEST_CASE("report: of many classes the most frequent mistakes are listed") {
    const std::size_t classes = 100;
    ReportConfusion confusion{{}, std::vector<Index>(classes * classes, 0)};
    for (std::size_t i = 0; i < classes; ++i) {
        confusion.classes.push_back("class " + std::to_string(i));
        confusion.counts[i * classes + i] = 50;
        confusion.counts[i * classes + (i + 1) % classes] = static_cast<Index>(i);
    }
    const std::string page = report_html({.confusion = confusion}, chart_js);
    CHECK(page.find("<td>class 99</td><td>class 0</td><td>99</td><td>149</td>") <
          page.find("<td>class 98</td><td>class 99</td><td>98</td><td>148</td>"));
    CHECK(count(page, "<tr>") == 25);
}

TEST_CASE("report: base64 of each length") {
    const auto encoded = [](std::string_view text) { return detail::base64(std::as_bytes(std::span{text})); };
    CHECK(encoded("") == "");
    CHECK(encoded("f") == "Zg==");  // RFC 4648, section 10
    CHECK(encoded("fo") == "Zm8=");
    CHECK(encoded("foo") == "Zm9v");
    CHECK(encoded("foobar") == "Zm9vYmFy");
    CHECK(encoded("\xff\xfe\xfd") == "//79");
}

TEST_CASE("report: parts that do not fit together are errors") {
    const auto defect = [](const Report& report, std::string_view script = chart_js) {
        return message_of<Error>([&] { report_html(report, script); });
    };
    CHECK(defect({.charts = {{"", "", {{"loss", {1, 2}, {1}}}}}}) == "report, values of loss: expected 2, found 1");
    CHECK(defect({.table = {"", {"a", "b"}, {{"1"}}}}) == "report, entries of a row: expected 2, found 1");
    CHECK(defect({.confusion = {{"a", "b"}, {1}}}) == "report, counts of the confusion: expected 4, found 1");
    CHECK(defect({}, "") == "report: expected the text of Chart.js, found none");
    CHECK(defect({}, "'</script>'") == "report: expected the text of Chart.js, found one that ends its script element");
}

TEST_CASE("report: the file is replaced as a whole, or stays as it was") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "report.html";
    write_report(path, small(), chart_js);
    const auto before = file_content(path);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // as on a full disk: a file of this process ends where the text has only begun
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{100, 100};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const auto message = message_of<FileError>([&] { write_report(path, small(), chart_js); });
        ::_exit(message == path.string() + ": expected to write it, found File too large" ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(file_content(path) == before);
    CHECK(std::distance(std::filesystem::directory_iterator{folder.path()}, {}) == 1);  // and nothing lies beside it
}
