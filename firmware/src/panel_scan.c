/* The panel's ADCs: what is scanned, and scanning it. */
#include "ads8688.h"
#include "panel.h"
#include "panel_state.h"

void panel_scan_setup(enum panel_source source, uint16_t column_mask)
{
    static const uint8_t ranges[] = {
        [PANEL_READ] = ADS8688_0_TO_5_12_V, [PANEL_PRODUCTS] = ADS8688_5_12_V, [PANEL_OUTPUTS] = ADS8688_2_56_V};
    if (source == PANEL_SUPPLY) {
        /* One channel that has no range of its own. Whatever comes next sets up its columns: a command's end does. */
        panel.scanned = 1;
        ads8688_select_auxiliary(HWL_SELECT_ADC_LOW);
        return;
    }
    if (panel.range != ranges[source]) {
        panel.range = ranges[source];
        panel.scanned = 0;
        for (uint32_t adc = 0; adc < panel_adcs(); adc++)
            ads8688_set_range((uint16_t)(HWL_SELECT_ADC_LOW + adc), panel.range);
    }
    if (panel.scanned == column_mask)
        return;
    panel.scanned = column_mask;
    for (uint32_t adc = 0; adc < panel_adcs(); adc++) {
        uint8_t channels = (uint8_t)(column_mask >> adc * ADS8688_CHANNELS);
        if (channels != 0)
            ads8688_start_sequence((uint16_t)(HWL_SELECT_ADC_LOW + adc), channels);
    }
}

void panel_scan(void)
{
    uint32_t low = (uint32_t)__builtin_popcount(panel.scanned & 0xFFu);
    uint32_t high = (uint32_t)__builtin_popcount((uint32_t)panel.scanned >> ADS8688_CHANNELS);
    if (low != 0)
        ads8688_scan(HWL_SELECT_ADC_LOW, (uint16_t)low);
    if (high != 0)
        ads8688_scan(HWL_SELECT_ADC_HIGH, (uint16_t)high);
}
