// The elements of a report's page as HTML, each text escaped.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <resnet/core/extent.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/environment.hpp>  // Settings

namespace resnet::inline v0::detail {

inline std::string html(std::string_view plain) {
    std::string escaped;
    for (const char letter : plain) {
        switch (letter) {
            case '&':
                escaped += "&amp;";
                break;
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            default:
                escaped += letter;
        }
    }
    return escaped;
}

/// RFC 4648.
inline std::string base64(std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(3, bytes.size()))) {
        unsigned group = 0;
        for (std::size_t i = 0; i < 3; ++i)
            group = group << 8 | (i < bytes.size() ? std::to_integer<unsigned>(bytes[i]) : 0);
        for (std::size_t i = 0; i < 4; ++i) text += i <= bytes.size() ? digits[group >> (18 - 6 * i) & 63] : '=';
    }
    return text;
}

/// <dl class="style"><dt>name</dt><dd>value</dd>...
inline std::string list_html(std::string_view style, const Settings& entries) {
    std::string list = text("<dl class=\"", style, "\">\n");
    for (const auto& [name, value] : entries)
        list += text("<div><dt>", html(name), "</dt><dd>", html(value), "</dd></div>\n");
    return list + "</dl>\n";
}

inline std::string section_html(std::string_view title, const std::string& content) {
    return text("<section>\n<h2>", html(title), "</h2>\n", content, "</section>\n");
}

/// More classes than this make no table that can be read.
inline constexpr std::size_t most_classes_of_a_table = 32;

using Texts = std::vector<std::string>;

inline std::string table_html(const Texts& columns, const std::vector<Texts>& entries) {
    std::string rows = "<tr>";
    for (const std::string& column : columns) rows += text("<th scope=\"col\">", html(column), "</th>");
    rows += "</tr>\n";
    for (const Texts& row : entries) {
        rows += "<tr>";
        for (const std::string& entry : row) rows += text("<td>", html(entry), "</td>");
        rows += "</tr>\n";
    }
    return text("<div class=\"wide\"><table class=\"rows\">\n", rows, "</table></div>\n");
}

/// Counts of the confusion by label and class that was said.
class ConfusionTable {
public:
    ConfusionTable(const Texts& classes, const std::vector<Index>& counts)
        : classes_{classes},
          counts_{counts},
          sums_(classes_.size(), 0) {
        for (std::size_t label = 0; label < classes_.size(); ++label) {
            for (std::size_t said = 0; said < classes_.size(); ++said) {
                sums_[label] += count(label, said);
                if (label != said) most_ = std::max(most_, count(label, said));
            }
        }
    }

    /// Of few classes: their counts, and what is mistaken most. Of more: the latter alone.
    std::string content() const {
        if (classes_.size() > most_classes_of_a_table) return most_frequent(24);
        return text("<div class=\"beside\">\n", matrix(), most_frequent(8), "</div>\n");
    }

private:
    std::string matrix() const {
        std::string table =
            "<div>\n<p>Rows: what an image is. Columns: what the network says.</p>\n"
            "<div class=\"wide\"><table class=\"confusion\">\n<thead><tr><td class=\"none\"></td>";
        for (const std::string& name : classes_) table += text("<th scope=\"col\"><span>", html(name), "</span></th>");
        table += "</tr></thead>\n<tbody>\n";
        for (std::size_t label = 0; label < classes_.size(); ++label) {
            table += text("<tr><th scope=\"row\">", html(classes_[label]), "</th>");
            for (std::size_t said = 0; said < classes_.size(); ++said) table += cell(label, said);
            table += "</tr>\n";
        }
        return table + "</tbody></table></div>\n</div>\n";
    }

    std::string most_frequent(std::size_t longest) const {
        struct Mistake {
            std::size_t label, said;
        };
        std::vector<Mistake> mistakes;
        for (std::size_t label = 0; label < classes_.size(); ++label)
            for (std::size_t said = 0; said < classes_.size(); ++said)
                if (label != said && count(label, said) > 0) mistakes.push_back({label, said});
        std::ranges::stable_sort(mistakes, std::ranges::greater{},
                                 [&](const Mistake& mistake) { return count(mistake.label, mistake.said); });
        mistakes.resize(std::min(mistakes.size(), longest));
        std::vector<Texts> rows;
        for (const auto& [label, said] : mistakes)
            rows.push_back(
                {classes_[label], classes_[said], std::to_string(count(label, said)), std::to_string(sums_[label])});
        return text("<div>\n<p>The most frequent mistakes.</p>\n",
                    table_html({"image is", "network says", "times", "of"}, rows), "</div>\n");
    }

    Index count(std::size_t label, std::size_t said) const { return counts_[label * classes_.size() + said]; }

    /// Right answers are shaded by their share of the label's images, mistakes by their share of the most frequent one.
    std::string cell(std::size_t label, std::size_t said) const {
        const Index number = count(label, said);
        const Index whole = label == said ? sums_[label] : most_;
        const double share = whole > 0 ? 0.85 * static_cast<double>(number) / static_cast<double>(whole) : 0;
        return text("<td class=\"", label == said ? "right" : "", number == 0 ? " none" : "",
                    "\" style=\"--share:", std::lround(100 * share), "%\" title=\"", html(classes_[label]), ", said ",
                    html(classes_[said]), ": ", number, " of ", sums_[label], "\">", number, "</td>");
    }

    const Texts& classes_;
    const std::vector<Index>& counts_;
    std::vector<Index> sums_;
    Index most_ = 0;
};

}  // namespace resnet::inline v0::detail
