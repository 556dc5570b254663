// A report of a training run: one HTML file with curves, confusion matrix and pictures that opens in any browser,
// without a network. The charts are drawn by Chart.js (chartjs.org, version 3 or 4), whose text becomes a part of the
// file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/atomic_file.hpp>
#include <resnet/io/environment.hpp>  // Settings
#include <resnet/io/report_elements.hpp>
#include <resnet/io/report_page.hpp>

namespace resnet::inline v0 {

/// A line through the points (x[i], y[i]). It has a gap where y is not finite.
struct ReportSeries {
    std::string name{};
    std::vector<double> x{}, y{};
};

/// A chart of one or more lines over the same axis, whose ticks are whole numbers.
struct ReportChart {
    std::string title{}, x_axis{};
    std::vector<ReportSeries> series{};
    bool from_zero = false;  // the other axis has the zero, whatever the values
};

/// Each row has an entry for each column.
struct ReportTable {
    std::string title{};
    std::vector<std::string> columns{};
    std::vector<std::vector<std::string>> rows{};
};

/// As Evaluation has it: counts, [label][predicted class].
struct ReportConfusion {
    std::vector<std::string> classes{};
    std::vector<Index> counts{};
};

/// `encode_png` makes the bytes.
struct ReportPicture {
    std::vector<std::byte> png{};
    std::string caption{}, note{};
};

/// What a page shows, from top to bottom. What is empty is left out. All texts are plain UTF-8; the page escapes them.
struct Report {
    std::string title{}, subtitle{};
    Settings figures{};  // the few numbers that a reader looks for first
    std::vector<ReportChart> charts{};
    ReportTable table{};
    ReportConfusion confusion{};
    std::vector<ReportPicture> mistakes{};
    Settings settings{};
    std::string summary{};  // Model::summary()
};

/// The page. `chart_js` is the text of chart.min.js (Debian: libjs-chart.js).
/// Throws Error if a series, a row or the confusion has another length than it must, or `chart_js` is empty.
std::string report_html(const Report& report, std::string_view chart_js);

/// Writes the page; atomically, so that who opens it in the middle of a run sees a whole one. FileError as AtomicFile.
inline void write_report(const std::filesystem::path& path, const Report& report, std::string_view chart_js) {
    const std::string html = report_html(report, chart_js);
    AtomicFile file{path};
    file.write(std::as_bytes(std::span{html}));
    file.commit();
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// JSON that can stand in a script element: nothing in it ends the element, and what is no UTF-8 does no harm.
inline std::string json_of(const std::vector<ReportChart>& charts) {
    nlohmann::json list = nlohmann::json::array();
    for (const ReportChart& chart : charts) {
        nlohmann::json series = nlohmann::json::array();
        for (const ReportSeries& line : chart.series)
            series.push_back({{"name", line.name}, {"x", line.x}, {"y", line.y}});  // not finite: null
        list.push_back({{"title", chart.title},
                        {"x_axis", chart.x_axis},
                        {"from_zero", chart.from_zero},
                        {"series", std::move(series)}});
    }
    std::string escaped;
    for (const char letter : list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)) {
        if (letter == '<') escaped += "\\u003c";
        else escaped += letter;
    }
    return escaped;
}

inline void check(const Report& report, std::string_view chart_js) {
    if (chart_js.empty() || chart_js.find("</script") != std::string_view::npos)
        throw Error("report", "the text of Chart.js", chart_js.empty() ? "none" : "one that ends its script element");
    const auto must_match = [](const std::string& what, std::size_t expected, std::size_t found) {
        if (found != expected) throw Error(text("report, ", what), std::to_string(expected), std::to_string(found));
    };
    for (const ReportChart& chart : report.charts)
        for (const ReportSeries& line : chart.series)
            must_match(text("values of ", line.name), line.x.size(), line.y.size());
    for (const auto& row : report.table.rows) must_match("entries of a row", report.table.columns.size(), row.size());
    const std::size_t classes = report.confusion.classes.size();
    must_match("counts of the confusion", classes * classes, report.confusion.counts.size());
}

inline std::string charts_html(const std::vector<ReportChart>& charts) {
    std::string list = "<div class=\"charts\">\n";
    for (std::size_t i = 0; i < charts.size(); ++i) {
        list += section_html(charts[i].title,
                             text("<div class=\"canvas\"><canvas id=\"chart-", i, "\" role=\"img\" aria-label=\"",
                                  html(charts[i].title), "\"></canvas></div>\n"));
    }
    return list + "</div>\n<noscript><p>The charts need JavaScript.</p></noscript>\n";
}

inline std::string pictures_html(const std::vector<ReportPicture>& pictures) {
    std::string list = "<div class=\"pictures\">\n";
    for (const ReportPicture& picture : pictures) {
        list += text("<figure><img alt=\"", html(picture.caption), "\" src=\"data:image/png;base64,",
                     base64(picture.png), "\"><figcaption>", html(picture.caption), "<small>", html(picture.note),
                     "</small></figcaption></figure>\n");
    }
    return list + "</div>\n";
}

}  // namespace detail

inline std::string report_html(const Report& report, std::string_view chart_js) {
    using detail::section_html;
    detail::check(report, chart_js);
    // The policy forbids the page to load anything: what it shows is in it.
    std::string page = detail::text("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                                    "script-src 'unsafe-inline'; style-src ",
                                    "'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n<title>",
                                    detail::html(report.title), "</title>\n<style>", detail::report_style,
                                    "</style>\n</head>\n<body>\n<header>\n<h1>", detail::html(report.title),
                                    "</h1>\n<p>", detail::html(report.subtitle), "</p>\n</header>\n<main>\n");
    if (!report.figures.empty()) page += detail::list_html("figures", report.figures);
    if (!report.charts.empty()) page += detail::charts_html(report.charts);
    if (!report.confusion.classes.empty())
        page += section_html("Confusion",
                             detail::ConfusionTable{report.confusion.classes, report.confusion.counts}.content());
    if (!report.mistakes.empty()) page += section_html("Worst mistakes", detail::pictures_html(report.mistakes));
    if (!report.table.columns.empty())
        page += section_html(report.table.title, detail::table_html(report.table.columns, report.table.rows));
    if (!report.settings.empty()) page += section_html("Settings", detail::list_html("settings", report.settings));
    if (!report.summary.empty()) {
        page += section_html("Network", detail::text("<pre tabindex=\"0\">", detail::html(report.summary), "</pre>\n"));
    }
    page += "</main>\n";
    if (!report.charts.empty()) {
        page +=
            detail::text("<script type=\"application/json\" id=\"charts\">", detail::json_of(report.charts),
                         "</script>\n<script>", chart_js, "</script>\n<script>", detail::report_script, "</script>\n");
    }
    return page + "</body>\n</html>\n";
}

}  // namespace resnet::inline v0
